"""A light generator with skip-layer excitation. Source: Liu et al. 2021, arXiv:2101.04775, Sec. 3.

Deviations from the paper: no noise inside the blocks, no spectral normalization, any base grid of
at least 4 pixels a side. Small images have no two grids 16 times apart; their skips span all
doublings but one.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganforge.api import ComponentChoice, ComponentOptions, Field, ImageSpec
from ganforge.layers import base_grid, init_normal, pixel_norm, upsample_nearest

# Widths of the grids from 4x4, in units of `channels`, and the span of a skip, in doublings.
_MULTIPLIERS = (16.0, 8.0, 4.0, 2.0, 2.0, 1.0, 0.5, 0.25, 0.125)
_SKIP = 4


class ProjectedConfig(ComponentOptions):
    """Options of the projected GAN."""

    z_dim: int = Field(256, gt=0, description="Latent size.")
    channels: int = Field(
        128,
        ge=8,
        description="Width of the generator: 16, 8, 4, 2, 2, 1, 1/2, 1/4, 1/8 times this, from the "
        "coarsest grid.",
    )
    features: ComponentChoice = Field(
        ComponentChoice(name="timm"),
        description="The frozen feature network: an extractor that provides feature maps.",
    )
    projection_channels: int = Field(
        64, gt=0, description="Channels of the finest projected map; doubled at each coarser one."
    )
    projection_seed: int = Field(0, ge=0, description="Seed of the fixed random projections.")
    discriminator_channels: int = Field(
        64,
        gt=0,
        description="Channels of the finest grid in a discriminator; doubled up to 8 times.",
    )

    def widths(self, doublings: int) -> list[int]:
        """The generator's channels, from the coarsest grid."""
        last = len(_MULTIPLIERS) - 1
        return [
            max(1, int(self.channels * _MULTIPLIERS[min(level, last)]))
            for level in range(doublings + 1)
        ]


def _gated(in_channels: int, out_channels: int) -> nn.Sequential:
    """3x3, batch norm, gated linear unit: [N, in, H, W] -> [N, out, H, W]."""
    return nn.Sequential(
        nn.Conv2d(in_channels, 2 * out_channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(2 * out_channels),
        nn.GLU(dim=1),
    )


class Excitation(nn.Module):
    """Skip-layer excitation: a coarse grid gates the channels of a fine one (Eq. 1 and 2).

    Args:
        coarse: channels of the coarse grid, whose sides are at least 4.
        fine: channels of the fine grid.
    """

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(coarse, fine, 4, bias=False)
        self.excite = nn.Conv2d(fine, fine, 1, bias=False)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """Same shape as `fine`."""
        gate = functional.silu(self.squeeze(functional.adaptive_avg_pool2d(coarse, 4)))
        return fine * torch.sigmoid(self.excite(gate))


class FastGenerator(nn.Module):
    """z [N, z_dim] -> img [N, C, H, W] in [-1, 1].

    Each doubling is nearest-neighbor upsampling and a convolution, every other one two.

    Args:
        config: sizes.
        spec: of the images.
        name: architecture name, for error messages.
    """

    def __init__(self, config: ProjectedConfig, spec: ImageSpec, name: str) -> None:
        super().__init__()
        height, width, doublings = base_grid(spec.height, spec.width, name)
        widths = config.widths(doublings)
        self.skip = max(1, min(_SKIP, doublings - 1))
        self.start = nn.Sequential(
            nn.ConvTranspose2d(config.z_dim, 2 * widths[0], (height, width), bias=False),
            nn.BatchNorm2d(2 * widths[0]),
            nn.GLU(dim=1),
        )
        self.blocks = nn.ModuleList()
        self.excitations = nn.ModuleList()
        for level in range(1, doublings + 1):
            block = _gated(widths[level - 1], widths[level])
            if level % 2:
                block.extend(_gated(widths[level], widths[level]))
            self.blocks.append(block)
            if level >= self.skip:
                self.excitations.append(Excitation(widths[level - self.skip], widths[level]))
        self.to_img = nn.Conv2d(widths[-1], spec.channels, 3, padding=1)
        init_normal(self)

    def forward(self, z: Tensor, c: Tensor) -> Tensor:
        """Draw one image per row of z; `c` [N, 0] is not used."""
        grids = [self.start(pixel_norm(z)[:, :, None, None])]
        for level, block in enumerate(self.blocks, start=1):
            x = block(upsample_nearest(grids[-1]))
            if level >= self.skip:
                x = self.excitations[level - self.skip](grids[level - self.skip], x)
            grids.append(x)
        return torch.tanh(self.to_img(grids[-1]))
