"""Discriminators on random projections of frozen features.

Source: Sauer et al. 2021, arXiv:2111.01007, Sec. 3, as in the authors' code. The feature network
and the projections are frozen: they are not part of the module's parameters or state.
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganforge.api import ConfigError, FrozenFeatures, ImageSpec, full_precision
from ganforge.layers import LeakyReLU, spectral_norm
from ganforge_projected.generator import ProjectedConfig

_SLOPE = 0.2
_MAX_DOUBLINGS = 3
_LAST_KERNEL = 4


class Projection(nn.Module):
    """Fixed random mixing of channels, then of scales, from the coarsest map to the finest.

    Cross-channel mixing is a 1x1 convolution of each map. Cross-scale mixing adds the coarser
    result, upsamples to the next finer map (the finest to twice its size) and applies a 1x1
    convolution. All is linear; weights start as torch's do.

    Args:
        channels: of the feature maps, from the finest.
        width: channels of the finest projected map; they double at each coarser one.
        seed: of the weights.
    """

    def __init__(self, channels: Sequence[int], width: int, seed: int) -> None:
        super().__init__()
        widths = [width << level for level in range(len(channels))]
        self.out_channels = [widths[0], *widths[:-1]]
        self.across_channels = nn.ModuleList(
            nn.Conv2d(before, after, 1) for before, after in zip(channels, widths, strict=True)
        )
        self.across_scales = nn.ModuleList(
            nn.Conv2d(before, after, 1)
            for before, after in zip(widths, self.out_channels, strict=True)
        )
        self.requires_grad_(False)
        # torch's defaults, but from a generator that no other draw moves.
        generator = torch.Generator().manual_seed(seed)
        for conv in (*self.across_channels, *self.across_scales):
            assert isinstance(conv, nn.Conv2d) and conv.bias is not None
            bound = 1 / math.sqrt(conv.in_channels)
            nn.init.uniform_(conv.weight, -bound, bound, generator=generator)
            nn.init.uniform_(conv.bias, -bound, bound, generator=generator)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """One mixed map per feature map, from the finest, of sizes `projected_sizes`."""
        mixed = [conv(x) for conv, x in zip(self.across_channels, maps, strict=True)]
        sizes = projected_sizes([(x.shape[2], x.shape[3]) for x in maps])
        out: list[Tensor] = []
        for level in reversed(range(len(mixed))):
            x = mixed[level] + out[-1] if out else mixed[level]
            x = functional.interpolate(x, size=sizes[level], mode="bilinear", align_corners=True)
            out.append(self.across_scales[level](x))
        return out[::-1]


def projected_sizes(sizes: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Height and width of the projected maps from those of the feature maps, from the finest."""
    height, width = sizes[0]
    return [(2 * height, 2 * width), *sizes[:-1]]


class ScaleDiscriminator(nn.Module):
    """One projected map [N, in_channels, H, W] -> logits [N, 1, h, w].

    Args:
        in_channels: of the projected map.
        widths: channels after each layer, all of which halve the size.
        kernel: height and width of the last convolution, which has no padding.
    """

    def __init__(self, in_channels: int, widths: Sequence[int], kernel: tuple[int, int]) -> None:
        super().__init__()
        self.body = nn.Sequential()
        for before, after in pairwise([in_channels, *widths]):
            self.body.append(spectral_norm(nn.Conv2d(before, after, 4, 2, 1)))
            self.body.append(nn.BatchNorm2d(after))
            self.body.append(LeakyReLU(_SLOPE))
        self.last = spectral_norm(nn.Conv2d(widths[-1], 1, kernel, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """Logits in float32."""
        x = self.body(x)
        with full_precision(x):
            return self.last(x.float())  # type: ignore[no-any-return]


def _last_grid(sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Height and width on which the discriminators of all scales end.

    Raises:
        ConfigError: nothing is left of a map.
    """
    ends = [
        (height >> len(sizes) - level, width >> len(sizes) - level)
        for level, (height, width) in enumerate(projected_sizes(sizes))
    ]
    height, width = (min(side) for side in zip(*ends, strict=True))
    if min(height, width) < 1:
        raise ConfigError(
            f"model.features: the feature maps of {sizes} pixels are too small; their "
            f"discriminators halve them {len(sizes)} times. Use larger images, or an extractor "
            f"that enlarges them (timm: side; efficientnet_lite0: map_side)."
        )
    return height, width


class ProjectedDiscriminator(nn.Module):
    """img [N, C, H, W] -> logits [N, all cells of all scales].

    The state holds the discriminators' weights and `fingerprint`, the hash of the frozen weights,
    so that a run is never resumed with other features.

    Args:
        config: sizes.
        spec: of the images.
        features: the feature network.
    """

    fingerprint: Tensor

    def __init__(self, config: ProjectedConfig, spec: ImageSpec, features: FrozenFeatures) -> None:
        super().__init__()
        shapes = features.map_shapes(spec.height, spec.width)
        channels = [shape[0] for shape in shapes]
        with torch.device("cpu"):
            projection = Projection(channels, config.projection_channels, config.projection_seed)
        widths = [
            config.discriminator_channels << min(level, _MAX_DOUBLINGS)
            for level in range(len(channels))
        ]
        height, width = _last_grid([shape[1:] for shape in shapes])
        kernel = (min(_LAST_KERNEL, height), min(_LAST_KERNEL, width))
        self.scales = nn.ModuleList(
            ScaleDiscriminator(in_channels, widths[level:], kernel)
            for level, in_channels in enumerate(projection.out_channels)
        )
        self.features = features
        # A tuple hides it from torch, which would count, train and save a submodule.
        self._frozen = (projection,)
        self._verified = False
        self.register_buffer("fingerprint", torch.zeros(32, dtype=torch.uint8))

    @property
    def projection(self) -> Projection:
        """The fixed random mixing."""
        return self._frozen[0]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        self.features.apply(fn)
        self.projection._apply(fn)  # type: ignore[no-untyped-call]
        moved = super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if not self.fingerprint.any():
            self.fingerprint.copy_(self.frozen_hash())
        return moved

    def frozen_hash(self) -> Tensor:
        """SHA-256 of feature network and projections, [32] uint8 on the CPU."""
        found = hashlib.sha256(self.features.sha256.encode())
        for name, tensor in sorted(self.projection.state_dict().items()):
            found.update(name.encode())
            found.update(tensor.cpu().contiguous().numpy().tobytes())
        return torch.tensor(list(found.digest()), dtype=torch.uint8)

    def verify(self) -> None:
        """Compare the frozen weights with the state's hash, on the first call after loading.

        Raises:
            ConfigError: the discriminators were trained on other features.
        """
        if self._verified:
            return
        if self.fingerprint.any() and not self.fingerprint.cpu().equal(self.frozen_hash()):
            raise ConfigError(
                f"model.features: the checkpoint's discriminators were trained on other frozen "
                f"features or projections than '{self.features.name}' gives here (the hash "
                f"differs; its weights file, its package or torch's random numbers have changed). "
                f"Put those back, or give this run another name to start anew."
            )
        self._verified = True

    def forward(self, img: Tensor, c: Tensor) -> Tensor:
        """Logits of every cell, the finest map's first; `c` [N, 0] is not used."""
        projected = self.projection(self.features.maps(img))
        logits = [scale(x).flatten(1) for scale, x in zip(self.scales, projected, strict=True)]
        return torch.cat(logits, 1)
