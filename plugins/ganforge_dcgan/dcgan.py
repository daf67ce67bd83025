"""DCGAN: convolutional generator and discriminator. Source: Radford et al. 2016, arXiv:1511.06434.

Deviations from the paper: 4x4 kernels in place of 5x5 (even kernels tile a stride of 2 without a
checkerboard), latents from a normal distribution, and any size whose halves reach a small grid.
Options give LSGAN's generator (arXiv:1611.04076), minibatch discrimination (arXiv:1606.03498) and
labels by concatenation, as in the conditional GAN (arXiv:1411.1784).
"""

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from ganforge.api import (
    ComponentOptions,
    Field,
    ImageSpec,
    NoiseToImage,
    Objective,
    OptimizerConfig,
    Reads,
)
from ganforge.layers import LeakyReLU, MinibatchDiscrimination, base_grid, spectral_norm
from ganforge_dcgan.norms import Norm, build_norm, init_dcgan, init_without_norm

# LSGAN puts a second layer on the grid of each of the first steps up.
_LSGAN_DOUBLED = 2


class DcganConfig(ComponentOptions):
    """Options of DCGAN."""

    condition: Literal["none", "label", "auto"] = Field(
        "none",
        description="label joins the one-hot class to the latent and, a map each, to the image "
        "(Mirza and Osindero 2014); the data must have labels. auto does so where it has.",
    )
    discriminator_condition: Literal["maps", "scores"] = Field(
        "maps",
        description="How the discriminator is conditioned on the class. maps: a constant map of "
        "each class beside the image (Mirza and Osindero 2014). scores: a score for each class, of "
        "which the one of the image's class counts (Liu et al. 2019, arXiv:1905.01723); cheaper.",
    )
    z_dim: int = Field(100, gt=0, description="Latent size.")
    base_channels: int = Field(
        64, gt=0, description="Channels at the finest grid; they double towards the coarsest."
    )
    max_channels: int = Field(1024, gt=0, description="Upper limit of channels.")
    generator: Literal["dcgan", "lsgan"] = Field(
        "dcgan",
        description="lsgan (Mao et al. 2017, figure 5a) has further layers of stride 1: one after "
        "each of the first two steps up, and the last, to the image.",
    )
    generator_norm: Norm = "batch"
    discriminator_norm: Norm | Literal["spectral"] = Field(
        "batch",
        description="With a gradient penalty use layer or none. spectral normalizes the weights in "
        "place of the activations (SNGAN's standard CNN, Miyato et al. 2018).",
    )
    minibatch_kernels: int = Field(
        0,
        ge=0,
        description="Features of minibatch discrimination (Salimans et al. 2016; 100 there); 0 for "
        "none. The statistics are those of a slot.",
    )
    minibatch_kernel_dim: int = Field(
        5, gt=0, description="Dimensions in which each of them measures distance."
    )


def _widths(config: DcganConfig, doublings: int) -> list[int]:
    """Channels from the finest grid to the coarsest."""
    return [min(config.max_channels, config.base_channels << level) for level in range(doublings)]


def _c_dim(config: DcganConfig, spec: ImageSpec) -> int:
    """Classes that the networks are conditioned on."""
    return 0 if config.condition == "none" else spec.num_classes


class DcganGenerator(nn.Module):
    """z [N, z_dim], c [N, c_dim] -> img [N, C, H, W] in [-1, 1]: stride-2 convolutions."""

    def __init__(self, config: DcganConfig, spec: ImageSpec) -> None:
        super().__init__()
        height, width, doublings = base_grid(spec.height, spec.width, "dcgan")
        norm, self.c_dim = config.generator_norm, _c_dim(config, spec)
        widths = self._widths(config, doublings)
        first = nn.ConvTranspose2d(
            config.z_dim + self.c_dim, widths[0], (height, width), bias=norm == "none"
        )
        self.layers = nn.Sequential(
            *(first, build_norm(norm, widths[0]), nn.ReLU()),
            *self._further_layers(widths, norm, spec.channels),
        )
        self.apply(init_dcgan)

    def forward(self, z: Tensor, c: Tensor) -> Tensor:
        """Generate."""
        if self.c_dim:
            z = torch.cat([z, c], dim=1)
        return torch.tanh(self.layers(z[:, :, None, None]))

    def _widths(self, config: DcganConfig, doublings: int) -> list[int]:
        """Channels from the coarsest grid to the finest."""
        return _widths(config, doublings)[::-1]

    def _further_layers(self, widths: list[int], norm: Norm, channels: int) -> list[nn.Module]:
        steps = [layer for pair in pairwise(widths) for layer in _step_up(*pair, norm)]
        return [*steps, nn.ConvTranspose2d(widths[-1], channels, 4, 2, 1)]


class LsganGenerator(DcganGenerator):
    """DCGAN's generator with layers of stride 1 between those of stride 2.

    Source: Mao et al. 2017, arXiv:1611.04076, figure 5a; 4x4 kernels at stride 2 and 3x3 at
    stride 1 in place of 5x5.
    """

    def _widths(self, config: DcganConfig, doublings: int) -> list[int]:
        # Figure 5a stops at 256 channels where the discriminator goes on to 512.
        return [min(n, 4 * config.base_channels) for n in super()._widths(config, doublings)]

    def _further_layers(self, widths: list[int], norm: Norm, channels: int) -> list[nn.Module]:
        layers = []
        for level, (before, after) in enumerate(pairwise([widths[0], *widths])):
            layers += _step_up(before, after, norm)
            if level < _LSGAN_DOUBLED:
                conv = nn.Conv2d(after, after, 3, 1, 1, bias=norm == "none")
                layers += [conv, build_norm(norm, after), nn.ReLU()]
        return [*layers, nn.Conv2d(widths[-1], channels, 3, 1, 1)]


def _step_up(before: int, after: int, norm: Norm) -> list[nn.Module]:
    return [
        nn.ConvTranspose2d(before, after, 4, 2, 1, bias=norm == "none"),
        build_norm(norm, after),
        nn.ReLU(),
    ]


class DcganDiscriminator(nn.Module):
    """img [N, C, H, W], c [N, c_dim] -> logits [N]: stride-2 convolutions, then the whole grid."""

    def __init__(self, config: DcganConfig, spec: ImageSpec) -> None:
        super().__init__()
        height, width, doublings = base_grid(spec.height, spec.width, "dcgan")
        widths = _widths(config, doublings)
        choice = config.discriminator_norm
        norm: Norm = "none" if choice == "spectral" else choice
        self.c_dim = _c_dim(config, spec)
        self.has_maps = config.discriminator_condition == "maps"
        num_scores = 1 if self.has_maps or not self.c_dim else self.c_dim
        channels = spec.channels + self.c_dim * self.has_maps
        layers: list[nn.Module] = [nn.Conv2d(channels, widths[0], 4, 2, 1), LeakyReLU(0.2)]
        for before, after in pairwise(widths):
            layers += [
                nn.Conv2d(before, after, 4, 2, 1, bias=norm == "none"),
                build_norm(norm, after),
                LeakyReLU(0.2),
            ]
        layers += _head(config, widths[-1], (height, width), num_scores)
        self.layers = nn.Sequential(*layers)
        self.apply(init_without_norm if choice == "none" else init_dcgan)
        if choice == "spectral":
            for layer in self.layers:
                if isinstance(layer, nn.Conv2d | nn.Linear):
                    spectral_norm(layer)

    def forward(self, img: Tensor, c: Tensor) -> Tensor:
        """Score."""
        if self.c_dim and self.has_maps:
            maps = c[:, :, None, None].expand(-1, -1, *img.shape[2:])
            img = torch.cat([img, maps.to(img.dtype)], dim=1)
        scores: Tensor = self.layers(img).flatten(1)
        return scores.flatten() if scores.shape[1] == 1 else (scores * c).sum(dim=1)


def _head(
    config: DcganConfig, channels: int, grid: tuple[int, int], num_scores: int
) -> list[nn.Module]:
    if not config.minibatch_kernels:
        return [nn.Conv2d(channels, num_scores, grid)]
    size, kernels = channels * grid[0] * grid[1], config.minibatch_kernels
    closeness = MinibatchDiscrimination(size, kernels, config.minibatch_kernel_dim)
    return [nn.Flatten(), closeness, nn.Linear(size + kernels, num_scores)]


class Dcgan(NoiseToImage[DcganConfig]):
    """Deep convolutional GAN (Radford et al. 2016)."""

    name, Config = "dcgan", DcganConfig
    paper = "Radford et al. 2016, arXiv:1511.06434"
    optimizer = OptimizerConfig(name="adam", lr=2e-4, betas=(0.5, 0.999))
    example_options = {"z_dim": 8, "base_channels": 8}

    @classmethod
    def reads(cls, config: DcganConfig) -> Reads:
        """Images, and labels as `condition` says."""
        labels = ("label",)
        return Reads(
            required=("image", *(labels if config.condition == "label" else ())),
            optional=labels if config.condition == "auto" else (),
        )

    @property
    def per_sample_discriminator(self) -> bool:
        """Without batch statistics, minibatch discrimination and spectral norm."""
        return self.config.discriminator_norm in ("none", "layer") and (
            self.config.minibatch_kernels == 0
        )

    def check(self, objective: Objective) -> None:
        """Refuse sizes that stride-2 layers do not reach, and forbidden penalties."""
        base_grid(self.spec.height, self.spec.width, "dcgan")

    def networks(self) -> dict[str, nn.Module]:
        """A generator and a discriminator of mirrored widths."""
        generator = LsganGenerator if self.config.generator == "lsgan" else DcganGenerator
        return {
            "generator": generator(self.config, self.spec),
            "discriminator": DcganDiscriminator(self.config, self.spec),
        }
