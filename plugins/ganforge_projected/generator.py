"""The generator of the projected GAN: FastGAN's, with skip-layer excitation.

Source: Liu et al. 2021, arXiv:2101.04775, Sec. 3, as in the code of Sauer et al. 2021,
arXiv:2111.01007 (its `--cfg=fastgan`).

Deviations from that code: any base grid of at least 4 pixels a side. Small images have no two grids
16 times apart; their skips span all doublings but one.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganforge.api import ComponentChoice, ComponentOptions, Field, ImageSpec
from ganforge.layers import base_grid, pixel_norm, spectral_norm, upsample_nearest

# Widths of the grids from 4x4, in units of `channels`.
_MULTIPLIERS = (16.0, 8.0, 4.0, 2.0, 2.0, 1.0, 0.5, 0.25, 0.125)
# A skip spans this many doublings; the eighth doubling (1024 pixels) has none.
_SKIP, _LAST_SKIP = 4, 7


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


class NoisyLayer(nn.Module):
    """3x3 convolution, noise, batch norm and gated linear unit: [N, in, H, W] -> [N, out, H, W]."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = spectral_norm(
            nn.Conv2d(in_channels, 2 * out_channels, 3, padding=1, bias=False)
        )
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.norm = nn.BatchNorm2d(2 * out_channels)

    def forward(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        """Apply; `noise` [N, 1, H, W] is drawn if it is None."""
        y = self.conv(x)
        if noise is None:
            noise = torch.randn(y.shape[0], 1, *y.shape[2:], device=y.device)
        return gated(self.norm(y + (noise * self.noise_strength).to(y.dtype)))


def gated(x: Tensor) -> Tensor:
    """Gated linear unit: half of the channels times the sigmoid of the other half.

    torch's own gives gradients of another layout than the batch norm's, which doubles the time of
    the generator on a CPU.
    """
    values, gates = x.chunk(2, dim=1)
    return values * gates.sigmoid()


class Excitation(nn.Module):
    """Skip-layer excitation: a coarse grid gates the channels of a fine one (Eq. 1 and 2).

    Args:
        coarse: channels of the coarse grid, whose sides are at least 4.
        fine: channels of the fine grid.
    """

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        self.squeeze = spectral_norm(nn.Conv2d(coarse, fine, 4, bias=False))
        self.excite = spectral_norm(nn.Conv2d(fine, fine, 1, bias=False))

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """Same shape as `fine`."""
        gate = functional.silu(self.squeeze(functional.adaptive_avg_pool2d(coarse, 4)))
        return fine * torch.sigmoid(self.excite(gate))


class FastGenerator(nn.Module):
    """z [N, z_dim] -> img [N, C, H, W], mostly in [-1, 1].

    Each doubling is nearest-neighbor upsampling and two noisy layers. Weights start as torch's do.

    Args:
        config: sizes.
        spec: of the images.
        name: architecture name, for error messages.

    Attributes:
        noise_grids: height and width of the noise of each layer, from the coarsest.
    """

    def __init__(self, config: ProjectedConfig, spec: ImageSpec, name: str) -> None:
        super().__init__()
        height, width, doublings = base_grid(spec.height, spec.width, name)
        widths = config.widths(doublings)
        levels = range(1, doublings + 1)
        self.span = max(1, min(_SKIP, doublings - 1))
        self.noise_grids = [(height << level, width << level) for level in levels for _ in range(2)]
        self.start = nn.Sequential(
            spectral_norm(
                nn.ConvTranspose2d(config.z_dim, 2 * widths[0], (height, width), bias=False)
            ),
            nn.BatchNorm2d(2 * widths[0]),
        )
        self.layers = nn.ModuleList(
            NoisyLayer(before, widths[level])
            for level in levels
            for before in (widths[level - 1], widths[level])
        )
        self.excitations = nn.ModuleDict(
            {
                str(level): Excitation(widths[level - self.span], widths[level])
                for level in levels
                if self.span <= level <= _LAST_SKIP
            }
        )
        self.to_img = spectral_norm(nn.Conv2d(widths[-1], spec.channels, 3, padding=1))

    def forward(self, z: Tensor, c: Tensor, noise: Sequence[Tensor] | None = None) -> Tensor:
        """Draw one image per row of z; `c` [N, 0] is not used.

        Args:
            z: [N, z_dim].
            c: [N, 0].
            noise: one [N, 1, h, w] per layer, of sizes `noise_grids`; by default it is drawn.
        """
        noises = iter(noise if noise is not None else [None] * len(self.layers))
        layers = zip(self.layers, noises, strict=True)
        grids = [gated(self.start(pixel_norm(z)[:, :, None, None]))]
        for level in range(1, len(self.layers) // 2 + 1):
            x = upsample_nearest(grids[-1])
            for _ in range(2):
                layer, layer_noise = next(layers)
                x = layer(x, layer_noise)
            if str(level) in self.excitations:
                x = self.excitations[str(level)](grids[level - self.span], x)
            grids.append(x)
        img: Tensor = self.to_img(grids[-1]).float()
        return img
