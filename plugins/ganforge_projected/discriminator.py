"""Discriminators on random projections of frozen features.

Source: Sauer et al. 2021, arXiv:2111.01007, Sec. 3. The feature network and the projections are
frozen: they are not part of the module's parameters or state.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganforge.api import ConfigError, FrozenFeatures, ImageSpec, full_precision
from ganforge.layers import LeakyReLU, relu, spectral_norm
from ganforge_projected.generator import ProjectedConfig

_SLOPE = 0.2
_MAX_DOUBLINGS = 3


class Projection(nn.Module):
    """Fixed random mixing of channels, then of scales, from the coarsest map to the finest.

    Cross-channel mixing is a 1x1 convolution of each map. Cross-scale mixing adds the upsampled
    coarser result and applies a 3x3 convolution. Weights are He-initialized (arXiv:1502.01852).

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
            nn.Conv2d(before, after, 3, padding=1)
            for before, after in zip(widths, self.out_channels, strict=True)
        )
        self.requires_grad_(False)
        generator = torch.Generator().manual_seed(seed)
        for conv in (*self.across_channels, *self.across_scales):
            assert isinstance(conv, nn.Conv2d) and conv.bias is not None
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu", generator=generator)
            nn.init.zeros_(conv.bias)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """One mixed map per feature map, of the same height and width, from the finest."""
        mixed = [conv(x) for conv, x in zip(self.across_channels, maps, strict=True)]
        out: list[Tensor] = []
        for level in reversed(range(len(mixed))):
            x = mixed[level]
            if out:
                x = x + functional.interpolate(out[-1], size=x.shape[-2:], mode="bilinear")
            out.append(self.across_scales[level](relu(x)))
        return out[::-1]


class ScaleDiscriminator(nn.Module):
    """Logits on the coarsest map's grid, [N, 1, h, w], from one projected map.

    Args:
        in_channels: of the projected map.
        widths: channels of the grids from this map's (not used) to the coarsest.
    """

    def __init__(self, in_channels: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.body = nn.Sequential()
        channels = in_channels
        for width in widths[1:]:
            self.body.append(spectral_norm(nn.Conv2d(channels, width, 4, 2, 1)))
            self.body.append(LeakyReLU(_SLOPE))
            channels = width
        if len(widths) == 1:
            self.body.append(spectral_norm(nn.Conv2d(channels, widths[0], 3, padding=1)))
            self.body.append(LeakyReLU(_SLOPE))
            channels = widths[0]
        self.last = spectral_norm(nn.Conv2d(channels, 1, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        """Logits in float32."""
        x = self.body(x)
        with full_precision(x):
            return self.last(x.float())  # type: ignore[no-any-return]


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
        channels = [shape[0] for shape in features.map_shapes(spec.height, spec.width)]
        with torch.device("cpu"):
            projection = Projection(channels, config.projection_channels, config.projection_seed)
        widths = [
            config.discriminator_channels << min(level, _MAX_DOUBLINGS)
            for level in range(len(channels))
        ]
        self.scales = nn.ModuleList(
            ScaleDiscriminator(width, widths[level:])
            for level, width in enumerate(projection.out_channels)
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
