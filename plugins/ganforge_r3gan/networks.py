"""R3GAN's networks: residual blocks of grouped convolutions without normalization.

Source: Huang et al. 2024, arXiv:2501.05441, Sec. 4 (config E) and appendices. The networks mirror
each other: on each grid from 4x4 a change of size and width, then residual blocks.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from ganforge.api import ComponentOptions, ConfigError, Field, ImageSpec, full_precision
from ganforge.layers import Resample2d, ResampleMode, base_grid, leaky_relu, run_layer

_SLOPE = 0.2
_RECTIFIER_GAIN = math.sqrt(2.0 / (1.0 + _SLOPE**2))
"""Restores the variance that a leaky ReLU takes (He et al. 2015, arXiv:1502.01852)."""


class R3ganConfig(ComponentOptions):
    """Options of R3GAN; the defaults are the paper's for CIFAR-10 and for FFHQ at 256x256."""

    z_dim: int = Field(64, gt=0, description="Latent size.")
    channel_base: int = Field(24576, gt=0, description="Channels times resolution.")
    channel_max: int = Field(768, gt=0, description="Maximum number of channels.")
    blocks: int = Field(2, gt=0, description="Residual blocks on each grid.")
    expansion: int = Field(2, gt=0, description="Widening inside a residual block.")
    group_width: int = Field(16, gt=0, description="Channels per group of the 3x3 convolutions.")
    full_precision_below: int = Field(
        0,
        ge=0,
        description="Under bf16 and fp16, grids whose short side is less than this stay in fp32; "
        "in the authors' presets 8 for CIFAR-10 and 32 for FFHQ at 256x256.",
    )

    def in_float32(self, spec: ImageSpec, name: str) -> list[bool]:
        """Whether all grids, from the coarsest, stay in float32."""
        height, width, doublings = base_grid(spec.height, spec.width, name)
        side = min(height, width)
        return [side << level < self.full_precision_below for level in range(doublings + 1)]

    def widths(self, spec: ImageSpec, name: str) -> list[int]:
        """Channels of all grids, from the coarsest, which counts as 4x4.

        Raises:
            ConfigError: doubling does not reach the size, or groups do not divide a width.
        """
        _, _, doublings = base_grid(spec.height, spec.width, name)
        found = [
            max(1, min(self.channel_max, self.channel_base // (4 << level)))
            for level in range(doublings + 1)
        ]
        for level, width in enumerate(found):
            if width * self.expansion % self.group_width:
                raise ConfigError(
                    f"model.group_width={self.group_width} does not divide the "
                    f"{width * self.expansion} channels inside the blocks of grid {level} (its "
                    f"{width} channels times model.expansion={self.expansion}). Use a divisor, or "
                    f"multiples of it for model.channel_base and model.channel_max."
                )
        return found


def variance_init(layer: nn.Conv2d | nn.Linear, gain: float = 1.0) -> None:
    """Draw weights so that outputs have `gain` squared times the variance of inputs; zero biases.

    Source: He et al. 2015, arXiv:1502.01852, Eq. 10.
    """
    fan_in = layer.weight[0].numel()
    nn.init.normal_(layer.weight, 0.0, gain / math.sqrt(fan_in))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


class ResidualBlock(nn.Module):
    """1x1, grouped 3x3, 1x1, with leaky ReLUs in between; initially the identity.

    Args:
        channels: of input and output.
        config: expansion and group width.
        depth: residual blocks in the whole network.

    Source of the initial weights: Zhang et al. 2019 (Fixup), arXiv:1901.09321, Sec. 3: the last
    layer is zero, the other m - 1 = 2 are scaled by depth^(-1 / (2m - 2)).
    """

    def __init__(self, channels: int, config: R3ganConfig, depth: int) -> None:
        super().__init__()
        wide = channels * config.expansion
        groups = wide // config.group_width
        self.expand = nn.Conv2d(channels, wide, 1)
        self.mix = nn.Conv2d(wide, wide, 3, padding=1, groups=groups)
        self.reduce = nn.Conv2d(wide, channels, 1, bias=False)
        gain = _RECTIFIER_GAIN * depth**-0.25
        variance_init(self.expand, gain)
        variance_init(self.mix, gain)
        nn.init.zeros_(self.reduce.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as `x`, [N, C, H, W]."""
        y = leaky_relu(self.expand(x), _SLOPE)
        update: Tensor = self.reduce(leaky_relu(self.mix(y), _SLOPE))
        return x + update


def pointwise(in_channels: int, out_channels: int) -> nn.Conv2d:
    """A 1x1 convolution that preserves the variance."""
    conv = nn.Conv2d(in_channels, out_channels, 1, bias=False)
    variance_init(conv)
    return conv


def transition(in_channels: int, out_channels: int, mode: ResampleMode) -> nn.Sequential:
    """Resample by two with the filter [1, 3, 3, 1] (up: bilinear); change the width with a 1x1.

    The 1x1 runs at the smaller of the two sizes, and is omitted if the width does not change.
    """
    resample = Resample2d(up=2) if mode == "up" else Resample2d(down=2)
    if in_channels == out_channels:
        return nn.Sequential(resample)
    conv = pointwise(in_channels, out_channels)
    return nn.Sequential(conv, resample) if mode == "up" else nn.Sequential(resample, conv)


def residual_blocks(channels: int, config: R3ganConfig, depth: int) -> nn.Sequential:
    """The blocks of one grid."""
    return nn.Sequential(*(ResidualBlock(channels, config, depth) for _ in range(config.blocks)))


class R3ganGenerator(nn.Module):
    """z [N, z_dim], c [N, c_dim] -> img [N, C, H, W], mostly in [-1, 1].

    A learned first grid, scaled channel by channel by a linear function of z and the embedded
    class.
    """

    def __init__(self, config: R3ganConfig, spec: ImageSpec, name: str) -> None:
        super().__init__()
        height, width, _ = base_grid(spec.height, spec.width, name)
        widths = config.widths(spec, name)
        depth = len(widths) * config.blocks
        self.c_dim = spec.num_classes
        self.embed: nn.Linear | None = None
        if self.c_dim:
            self.embed = nn.Linear(self.c_dim, config.z_dim, bias=False)
            variance_init(self.embed)
        latent_dim = config.z_dim * (2 if self.c_dim else 1)
        self.scale = nn.Linear(latent_dim, widths[0], bias=False)
        variance_init(self.scale)
        self.basis = nn.Parameter(torch.randn(widths[0], height, width))
        stages: list[nn.Module] = [residual_blocks(widths[0], config, depth)]
        for before, after in pairwise(widths):
            stages += [transition(before, after, "up"), residual_blocks(after, config, depth)]
        self.stages = nn.Sequential(*stages)
        self.grids = [0, *(level for level in range(1, len(widths)) for _ in range(2))]
        self.in_float32 = config.in_float32(spec, name)
        self.to_image = pointwise(widths[-1], spec.channels)

    def forward(self, z: Tensor, c: Tensor) -> Tensor:
        """Generate."""
        with full_precision(z):
            latent = z.float()
            if self.embed is not None:
                latent = torch.cat([latent, self.embed(c.float())], dim=1)
            x = self.scale(latent)[:, :, None, None] * self.basis
        for stage, grid in zip(self.stages, self.grids, strict=True):
            x = run_layer(stage, x, in_float32=self.in_float32[grid])
        return run_layer(self.to_image, x, in_float32=self.in_float32[-1]).float()


class R3ganDiscriminator(nn.Module):
    """img [N, C, H, W], c [N, c_dim] -> logits [N] float32; labels by projection."""

    def __init__(self, config: R3ganConfig, spec: ImageSpec, name: str) -> None:
        super().__init__()
        height, width, _ = base_grid(spec.height, spec.width, name)
        widths = config.widths(spec, name)[::-1]
        depth, last = len(widths) * config.blocks, widths[-1]
        self.from_image = pointwise(spec.channels, widths[0])
        stages: list[nn.Module] = []
        for before, after in pairwise(widths):
            stages += [residual_blocks(before, config, depth), transition(before, after, "down")]
        self.stages = nn.Sequential(*stages, residual_blocks(last, config, depth))
        finest = len(widths) - 1
        self.grids = [*(level for level in range(finest, 0, -1) for _ in range(2)), 0]
        self.in_float32 = config.in_float32(spec, name)
        # The inner product of each channel with a learned grid mirrors the generator's first layer.
        self.basis = nn.Parameter(torch.randn(last, height, width) / math.sqrt(height * width))
        self.out = nn.Linear(last, last if spec.num_classes else 1, bias=False)
        variance_init(self.out)
        self.embed: nn.Linear | None = None
        if spec.num_classes:
            self.embed = nn.Linear(spec.num_classes, last, bias=False)
            # The logit sums over `last` products: this keeps its variance.
            variance_init(self.embed, 1.0 / math.sqrt(last))

    def forward(self, img: Tensor, c: Tensor) -> Tensor:
        """Score."""
        x = run_layer(self.from_image, img, in_float32=self.in_float32[-1])
        for stage, grid in zip(self.stages, self.grids, strict=True):
            x = run_layer(stage, x, in_float32=self.in_float32[grid])
        with full_precision(x):
            features: Tensor = self.out((x.float() * self.basis).sum(dim=(2, 3)))
            if self.embed is None:
                return features.flatten()
            logits: Tensor = (features * self.embed(c.float())).sum(dim=1)
            return logits
