"""DCGAN: convolutional generator and discriminator. Source: Radford et al. 2016, arXiv:1511.06434.

Deviations from the paper: 4x4 kernels in place of 5x5 (even kernels tile a stride of 2 without a
checkerboard), latents from a normal distribution, and any size whose halves reach a small grid.
"""

from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ganforge.api import (
    Architecture,
    ComponentOptions,
    ConfigError,
    Field,
    ImageSpec,
    NoiseToImage,
    Objective,
    OptimizerConfig,
    hookimpl,
)

Norm = Literal["batch", "layer", "none"]


class DcganConfig(ComponentOptions):
    """Options of DCGAN."""

    z_dim: int = Field(100, gt=0, description="Latent size.")
    base_channels: int = Field(
        64, gt=0, description="Channels at the finest grid; they double towards the coarsest."
    )
    max_channels: int = Field(1024, gt=0, description="Upper limit of channels.")
    generator_norm: Norm = "batch"
    discriminator_norm: Norm = Field(
        "batch", description="With a gradient penalty use layer or none."
    )


def pyramid(height: int, width: int) -> tuple[int, int, int]:
    """Split a size into a base grid and doublings: (base height, base width, doublings).

    The smaller side of the base grid is 4 to 7 pixels.

    Raises:
        ConfigError: no such grid exists.
    """
    doublings = 0
    while min(height, width) > 7 and height % 2 == 0 and width % 2 == 0:
        height, width, doublings = height // 2, width // 2, doublings + 1
    if not 4 <= min(height, width) <= 7 or doublings == 0:
        side = min(height, width) << doublings
        near = [base << n for n in range(1, 9) for base in (4, 5, 6, 7)]
        best = sorted(near, key=lambda size: abs(size - side))[:2]
        raise ConfigError(
            f"data.resolution: 'dcgan' reaches sizes of 4, 5, 6 or 7 times a power of two; "
            f"{height << doublings}x{width << doublings} is none. "
            f"The nearest for its short side are {min(best)} and {max(best)}; "
            f"data.resize: pad adds a border without resampling."
        )
    return height, width, doublings


def _norm(kind: Norm, channels: int) -> nn.Module:
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    # One group over all channels and pixels is layer normalisation of an image.
    return nn.GroupNorm(1, channels) if kind == "layer" else nn.Identity()


def _init(module: nn.Module) -> None:
    """N(0, 0.02) weights, N(1, 0.02) norm scales (Sec. 4)."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d | nn.GroupNorm):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


class DcganGenerator(nn.Module):
    """z [N, z_dim] -> img [N, C, H, W] in [-1, 1]: a projection, then stride-2 convolutions."""

    def __init__(self, config: DcganConfig, spec: ImageSpec) -> None:
        super().__init__()
        height, width, doublings = pyramid(spec.height, spec.width)
        widths = [
            min(config.max_channels, config.base_channels << level)
            for level in reversed(range(doublings))
        ]
        norm = config.generator_norm
        layers: list[nn.Module] = [
            nn.ConvTranspose2d(config.z_dim, widths[0], (height, width), bias=norm == "none"),
            _norm(norm, widths[0]),
            nn.ReLU(),
        ]
        for before, after in pairwise(widths):
            layers += [
                nn.ConvTranspose2d(before, after, 4, 2, 1, bias=norm == "none"),
                _norm(norm, after),
                nn.ReLU(),
            ]
        layers.append(nn.ConvTranspose2d(widths[-1], spec.channels, 4, 2, 1))
        self.layers = nn.Sequential(*layers)
        self.apply(_init)

    def forward(self, z: Tensor, c: Tensor) -> Tensor:
        """Generate; `c` is [N, 0]."""
        return torch.tanh(self.layers(z[:, :, None, None]))


class DcganDiscriminator(nn.Module):
    """img [N, C, H, W] -> logits [N]: stride-2 convolutions, then one over the whole grid."""

    def __init__(self, config: DcganConfig, spec: ImageSpec) -> None:
        super().__init__()
        height, width, doublings = pyramid(spec.height, spec.width)
        widths = [
            min(config.max_channels, config.base_channels << level) for level in range(doublings)
        ]
        norm = config.discriminator_norm
        layers: list[nn.Module] = [nn.Conv2d(spec.channels, widths[0], 4, 2, 1), nn.LeakyReLU(0.2)]
        for before, after in pairwise(widths):
            layers += [
                nn.Conv2d(before, after, 4, 2, 1, bias=norm == "none"),
                _norm(norm, after),
                nn.LeakyReLU(0.2),
            ]
        layers.append(nn.Conv2d(widths[-1], 1, (height, width)))
        self.layers = nn.Sequential(*layers)
        self.apply(_init)

    def forward(self, img: Tensor, c: Tensor) -> Tensor:
        """Score; `c` is [N, 0]."""
        return self.layers(img).flatten()  # type: ignore[no-any-return]  # Sequential is untyped


class Dcgan(NoiseToImage[DcganConfig]):
    """Deep convolutional GAN (Radford et al. 2016)."""

    name, Config = "dcgan", DcganConfig
    paper = "Radford et al. 2016, arXiv:1511.06434"
    optimizer = OptimizerConfig(name="adam", lr=2e-4, betas=(0.5, 0.999))
    example_options = {"z_dim": 8, "base_channels": 8}

    @property
    def z_dim(self) -> int:
        """Latent size."""
        return self.config.z_dim

    def check(self, spec: ImageSpec, objective: Objective) -> None:
        """Refuse sizes that stride-2 layers do not reach, and forbidden penalties."""
        pyramid(spec.height, spec.width)
        super().check(spec, objective)

    def networks(self, spec: ImageSpec) -> dict[str, nn.Module]:
        """A generator and a discriminator of mirrored widths."""
        return {
            "generator": DcganGenerator(self.config, spec),
            "discriminator": DcganDiscriminator(self.config, spec),
        }


@hookimpl
def ganforge_architectures() -> list[type[Architecture[Any]]]:
    """Register DCGAN."""
    return [Dcgan]
