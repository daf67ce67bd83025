"""ResNet generator and discriminator of WGAN-GP and SNGAN, and their common base class.

Source: Gulrajani et al. 2017, arXiv:1704.00028, appendix F (CIFAR-10 architecture); Miyato et al.
2018, arXiv:1802.05957, appendix B; projection Miyato and Koyama 2018, arXiv:1802.05637.
"""

import functools
from collections.abc import Sequence
from typing import Literal, TypeVar

from torch import Tensor, nn
from torch.nn import functional

from ganforge.api import (
    ComponentOptions,
    ConfigError,
    Field,
    ImageSpec,
    NoiseToImage,
    Objective,
    OptimizerConfig,
    full_precision,
)
from ganforge.layers import (
    ConditionalBatchNorm2d,
    ResidualDownBlock,
    ResidualUpBlock,
    base_grid,
    init_xavier,
    relu,
    spectral_norm,
)
from ganforge_dcgan.norms import build_norm

Channels = int | tuple[int, ...]


class ResnetConfig(ComponentOptions):
    """Options of both ResNet GANs."""

    z_dim: int = Field(128, gt=0, description="Latent size.")
    generator_channels: Channels = Field(
        128, description="Channels of all grids, or a list from the coarsest grid to the finest."
    )
    discriminator_channels: Channels = Field(
        128, description="Channels of all blocks, or a list starting at the image."
    )
    discriminator_down_blocks: int | None = Field(
        None,
        gt=0,
        description="Blocks that halve the size; null: down to twice the generator's first grid.",
    )
    discriminator_plain_blocks: int = Field(
        2, ge=0, description="Blocks without downsampling, after those that halve the size."
    )


ConfigT = TypeVar("ConfigT", bound=ResnetConfig)


class ResnetFamily(NoiseToImage[ConfigT]):
    """Base class of the ResNet GANs."""

    optional_inputs = ("label",)
    optimizer = OptimizerConfig(name="adam", lr=2e-4, betas=(0.0, 0.9))
    example_options = {"z_dim": 8, "generator_channels": 8, "discriminator_channels": 8}

    def check(self, objective: Objective) -> None:
        """Refuse sizes that doubling cannot reach, and channel lists of the wrong length."""
        check_sizes(self.config, self.spec, self.name)


def num_down_blocks(config: ResnetConfig, spec: ImageSpec, name: str) -> int:
    """Discriminator blocks that halve the size; by default down to twice the generator's base grid.

    Raises:
        ConfigError: they would shrink the image to less than a pixel.
    """
    _, _, doublings = base_grid(spec.height, spec.width, name)
    found = config.discriminator_down_blocks or max(1, doublings - 1)
    most = min(spec.height, spec.width).bit_length() - 1
    if found > most:
        raise ConfigError(
            f"model.discriminator_down_blocks={found}: nothing would remain of an image of "
            f"{spec.height}x{spec.width}. Use at most {most}."
        )
    return found


def channel_list(channels: Channels, num: int, option: str) -> list[int]:
    """One number of channels for each of `num` grids or blocks.

    Raises:
        ConfigError: the list has another length, or a number is not positive.
    """
    found = [channels] * num if isinstance(channels, int) else list(channels)
    if len(found) != num or min(found) < 1:
        raise ConfigError(
            f"model.{option}={channels}: at this resolution the network wants {num} positive "
            f"numbers. Give {num}, or one number for all."
        )
    return found


def check_sizes(config: ResnetConfig, spec: ImageSpec, name: str) -> None:
    """Refuse sizes that doubling cannot reach, and channel lists of the wrong length.

    Raises:
        ConfigError: the size or the list does not fit.
    """
    _, _, doublings = base_grid(spec.height, spec.width, name)
    num_blocks = num_down_blocks(config, spec, name) + config.discriminator_plain_blocks
    channel_list(config.generator_channels, doublings + 1, "generator_channels")
    channel_list(config.discriminator_channels, num_blocks, "discriminator_channels")


class ResnetGenerator(nn.Module):
    """z [N, z_dim], c [N, c_dim] -> img [N, C, H, W] in [-1, 1]; labels by conditional BatchNorm.

    Args:
        config: options.
        spec: format of the images.
        name: architecture name, for error messages.
    """

    def __init__(self, config: ResnetConfig, spec: ImageSpec, name: str) -> None:
        super().__init__()
        height, width, doublings = base_grid(spec.height, spec.width, name)
        widths = channel_list(config.generator_channels, doublings + 1, "generator_channels")
        self.base = (widths[0], height, width)
        self.project = nn.Linear(config.z_dim, widths[0] * height * width)
        self.blocks = nn.ModuleList(
            ResidualUpBlock(before, after, cond_dim=spec.num_classes)
            for before, after in zip(widths[:-1], widths[1:], strict=True)
        )
        self.c_dim = spec.num_classes
        self.norm = ConditionalBatchNorm2d(widths[-1], self.c_dim)
        self.to_image = nn.Conv2d(widths[-1], spec.channels, 3, padding=1)
        _init(self)

    def forward(self, z: Tensor, c: Tensor) -> Tensor:
        """Generate."""
        x = self.project(z).reshape(-1, *self.base)
        for block in self.blocks:
            x = block(x, c)
        img: Tensor = self.to_image(functional.relu(self.norm(x, c))).float().tanh()
        return img


class ResnetDiscriminator(nn.Module):
    """img [N, C, H, W], c [N, c_dim] -> logits [N] float32; labels by projection.

    Args:
        config: options.
        spec: format of the images.
        name: architecture name, for error messages.
        spectral: apply spectral normalization to all weights.
        norm: normalization before each ReLU.
        pool: reduction of the last grid to a vector.
    """

    def __init__(
        self,
        config: ResnetConfig,
        spec: ImageSpec,
        name: str,
        *,
        spectral: bool = False,
        norm: Literal["layer", "none"] = "none",
        pool: Literal["mean", "sum"] = "mean",
    ) -> None:
        super().__init__()
        num_down = num_down_blocks(config, spec, name)
        widths = channel_list(
            config.discriminator_channels,
            num_down + config.discriminator_plain_blocks,
            "discriminator_channels",
        )
        self.pool = pool
        factory = functools.partial(build_norm, norm) if norm != "none" else None
        self.blocks = nn.Sequential(
            *(
                ResidualDownBlock(
                    before,
                    after,
                    downsample=index < num_down,
                    first=index == 0,
                    spectral=spectral,
                    norm=factory,
                )
                for index, (before, after) in enumerate(_steps(spec.channels, widths))
            )
        )
        self.out: nn.Module = nn.Linear(widths[-1], 1)
        self.embed: nn.Module | None = None
        if spec.num_classes:
            self.embed = nn.Linear(spec.num_classes, widths[-1], bias=False)
        if spectral:
            self.out = spectral_norm(self.out)
            self.embed = self.embed and spectral_norm(self.embed)
        _init(self)

    def forward(self, img: Tensor, c: Tensor) -> Tensor:
        """Score."""
        x = relu(self.blocks(img)).float()
        features = x.mean(dim=(2, 3)) if self.pool == "mean" else x.sum(dim=(2, 3))
        with full_precision(features):
            logits: Tensor = self.out(features).flatten()
            if self.embed is None:
                return logits
            projected: Tensor = logits + (self.embed(c.float()) * features).sum(dim=1)
            return projected


def _steps(channels: int, widths: Sequence[int]) -> list[tuple[int, int]]:
    return list(zip([channels, *widths[:-1]], widths, strict=True))


def _init(network: nn.Module) -> None:
    # The gain that preserves the variance through a ReLU.
    init_xavier(network, gain=nn.init.calculate_gain("relu"))
    for module in network.modules():
        if isinstance(module, ConditionalBatchNorm2d) and module.gain and module.bias:
            # All classes start with gain 1 and bias 0.
            nn.init.zeros_(module.gain.weight)
            nn.init.zeros_(module.bias.weight)
