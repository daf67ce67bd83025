"""What BigGAN and BigGAN-deep share: options, widths, truncation. Source: arXiv:1809.11096."""

import itertools
import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn

from ganforge.api import (
    ComponentOptions,
    ConfigError,
    Field,
    GenerateRequest,
    ImageSpec,
    NoiseToImage,
    Objective,
    OptimizerConfig,
    full_precision,
)
from ganforge.layers import (
    SelfAttention,
    base_grid,
    init_normal,
    init_orthogonal,
    relu,
    spectral_norm,
)

_RESAMPLING_STREAM = 1


class BigganFamilyConfig(ComponentOptions):
    """Options of both; each sets its paper's sizes at 128x128."""

    z_dim: int = Field(120, gt=0, description="Latent size.")
    channels: int = Field(96, gt=0, description="The paper's ch: all widths are multiples of it.")
    generator_widths: tuple[int, ...] | None = Field(
        None,
        description="Multiples of `channels` from the coarsest grid to the finest, none larger "
        "than the one before; null for the paper's.",
    )
    discriminator_widths: tuple[int, ...] | None = Field(
        None,
        description="Multiples of `channels` after each block from the image on, none smaller than "
        "the one before; null for the paper's.",
    )
    shared_dim: int = Field(128, gt=0, description="Size of the class embedding.")
    attention: int | None = Field(
        None,
        gt=0,
        description="Short side, in pixels, of the features over which both networks attend "
        "(the paper: 64, from 128x128 images on); null for none.",
    )
    norm_eps: float = Field(
        1e-4,
        gt=0,
        description="Added to the variances of the generator's batch norms. The default is the "
        "paper's, for low precision (appendix C); the weights of BigGAN-PyTorch need 1e-5.",
    )
    init: Literal["orthogonal", "normal"] = Field(
        "orthogonal", description="First weights; normal is N(0, 0.02)."
    )


ConfigT = TypeVar("ConfigT", bound=BigganFamilyConfig)


class Layout:
    """Grids and widths of both networks for one image size, as multiples of `channels`.

    Where the options leave the widths open, they are the paper's from 64x64 on (tables 4 to 9). Up
    to 7 pixels times 8 they do not change and the discriminator stops at twice the base grid, as in
    its experiments on CIFAR-10.

    Attributes:
        base: height and width of the generator's first grid.
        doublings: steps from it to the image.
        num_down: steps in the discriminator that halve the size.
        generator_widths: of every grid, from the coarsest on.
        discriminator_widths: after every block, from the image on.

    Raises:
        ConfigError: doubling a small grid does not reach the size, or widths of the options are
            not as many as grids or blocks, not positive or in the wrong order.
    """

    def __init__(self, config: BigganFamilyConfig, spec: ImageSpec, name: str) -> None:
        height, width, self.doublings = base_grid(spec.height, spec.width, name)
        self.base = (height, width)
        self.is_small = self.doublings <= 3
        self.num_down = max(1, self.doublings - 1) if self.is_small else self.doublings
        self.generator_widths = _chosen(
            config.generator_widths, self._generator_widths(), "generator_widths", falling=True
        )
        self.discriminator_widths = _chosen(
            config.discriminator_widths, self._discriminator_widths(), "discriminator_widths"
        )

    def _generator_widths(self) -> tuple[int, ...]:
        if self.is_small:
            return (4,) * (self.doublings + 1)
        coarse = {4: (16, 16, 8, 4, 2), 5: (16, 16, 8, 4, 2, 1)}
        return coarse.get(self.doublings, (16, 16, 8, 8, 4, 2) + (1,) * (self.doublings - 5))

    def _discriminator_widths(self) -> tuple[int, ...]:
        if self.is_small:
            return (4,) * (self.num_down + 2)
        fine = {4: (1, 2, 4, 8, 16), 5: (1, 2, 4, 8, 16, 16)}
        return fine.get(self.doublings, (1,) * (self.doublings - 5) + (2, 4, 8, 8, 16, 16))

    @property
    def attention_sides(self) -> list[int]:
        """Short sides of the grids that both networks have, from the finest on."""
        side = min(self.base)
        return [side << level for level in reversed(range(1, self.doublings))]

    def up_sides(self) -> Iterator[int]:
        """Short side after each step of the generator."""
        return (min(self.base) << level for level in range(1, self.doublings + 1))

    def down_sides(self) -> Iterator[int]:
        """Short side after each step of the discriminator, without end."""
        side = min(self.base) << self.doublings
        return (side >> min(step, self.num_down) for step in itertools.count(1))


def _chosen(
    given: tuple[int, ...] | None, paper: tuple[int, ...], option: str, *, falling: bool = False
) -> tuple[int, ...]:
    if given is None:
        return paper
    if len(given) != len(paper) or min(given) < 1 or list(given) != sorted(given, reverse=falling):
        order = "none larger" if falling else "none smaller"
        raise ConfigError(
            f"model.{option}={list(given)}: at this resolution the network wants {len(paper)} "
            f"positive numbers, {order} than the one before. The paper's are {list(paper)}."
        )
    return given


class BigganFamily(NoiseToImage[ConfigT]):
    """Class-conditional generator with batch statistics, and a projection discriminator."""

    optional_inputs = ("label",)
    optimizer = OptimizerConfig(name="adam", lr=2e-4, betas=(0.0, 0.999))
    optimizers = {"generator": OptimizerConfig(lr=5e-5)}

    def check(self, objective: Objective) -> None:
        """Refuse sizes that are not reached, and attention where no grid is."""
        sides = Layout(self.config, self.spec, self.name).attention_sides
        if self.config.attention not in (None, *sides):
            places = f"one of {', '.join(map(str, sides))}, or null" if sides else "null"
            raise ConfigError(
                f"model.attention={self.config.attention}: '{self.name}' has no such features in "
                f"both networks at {self.spec.height}x{self.spec.width}. Use {places}."
            )

    def networks(self) -> dict[str, nn.Module]:
        """A generator and a discriminator."""
        layout = Layout(self.config, self.spec, self.name)
        generator, layers = self.generator(layout), self.discriminator_layers(layout)
        discriminator = FamilyDiscriminator(self.config, self.spec, layout, layers)
        return {"generator": generator, "discriminator": discriminator}

    @abstractmethod
    def generator(self, layout: Layout) -> nn.Module:
        """The network from z [N, z_dim] and c [N, c_dim] to images [N, C, H, W] in [-1, 1]."""

    @abstractmethod
    def discriminator_layers(self, layout: Layout) -> list[nn.Module]:
        """From images [N, C, H, W] to features of the layout's last width; the head is common."""

    @classmethod
    def check_truncation(cls, truncation: float) -> None:
        """Refuse thresholds that are not positive."""
        if not truncation > 0:
            raise ConfigError(
                f"truncation={truncation}: '{cls.name}' draws again what is farther than this "
                f"from 0. Give a positive threshold, e.g. 0.5, or leave it out."
            )

    def request_latent(self, request: GenerateRequest) -> Tensor:
        """Draw z [N, z_dim] from the request's seeds, truncated if it says so."""
        return request.blended("z", self._truncated)

    def _truncated(self, request: GenerateRequest) -> Tensor:
        z = request.noise(self.z_dim)
        if request.truncation is None:
            return z
        uniform = request.uniform(self.z_dim, stream=_RESAMPLING_STREAM)
        return resampled(z, uniform, request.truncation)


def resampled(z: Tensor, uniform: Tensor, limit: float) -> Tensor:
    """Replace the values of z beyond the threshold by draws from within it.

    Drawing again until a value lies within the threshold gives the normal distribution cut off
    there; its quantile function gives the same distribution in one draw, however small the
    threshold. Values that already lie within it stay, so that a seed keeps its character.

    Args:
        z: [N, z_dim], standard normal.
        uniform: [N, z_dim] in [0, 1).
        limit: the threshold, positive.

    Source: Brock et al. 2019, arXiv:1809.11096, Sec. 3.1.
    """
    inside = torch.erfinv((2.0 * uniform - 1.0) * math.erf(limit / math.sqrt(2.0)))
    drawn = (inside * math.sqrt(2.0)).clamp(-limit, limit)
    return torch.where(z.abs() > limit, drawn, z)


class ProjectionHead(nn.Module):
    """Features [N, C, h, w] and c [N, c_dim] -> logits [N] float32.

    Source: Miyato and Koyama 2018, arXiv:1802.05637; with a sum over positions as in BigGAN.
    """

    def __init__(self, channels: int, c_dim: int) -> None:
        super().__init__()
        self.out = spectral_norm(nn.Linear(channels, 1))
        self.embed: nn.Linear | None = None
        if c_dim:
            self.embed = spectral_norm(nn.Linear(c_dim, channels, bias=False))

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        """Score."""
        with full_precision(x):
            features = relu(x.float()).sum(dim=(2, 3))
            logits: Tensor = self.out(features).flatten()
            if self.embed is None:
                return logits
            projected: Tensor = logits + (self.embed(c.float()) * features).sum(dim=1)
            return projected


class FamilyDiscriminator(nn.Module):
    """img [N, C, H, W], c [N, c_dim] -> logits [N] float32; labels by projection."""

    def __init__(
        self,
        config: BigganFamilyConfig,
        spec: ImageSpec,
        layout: Layout,
        layers: Sequence[nn.Module],
    ) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*layers)
        width = layout.discriminator_widths[-1] * config.channels
        self.head = ProjectionHead(width, spec.num_classes)
        initialize(self, config)

    def forward(self, img: Tensor, c: Tensor) -> Tensor:
        """Score."""
        logits: Tensor = self.head(self.blocks(img), c)
        return logits


def attention_or_none(channels: int, found: bool) -> nn.Module:
    """Self-attention over `channels` where `found`; else the identity."""
    if found and channels % 8:
        raise ConfigError(
            f"model.attention: there are {channels} channels there, and its queries have an eighth "
            f"of them. Use a multiple of 8 as model.channels, another place, or null."
        )
    return SelfAttention(channels, spectral=True) if found else nn.Identity()


def initialize(network: nn.Module, config: BigganFamilyConfig) -> None:
    """Give all weights their first values."""
    init_orthogonal(network) if config.init == "orthogonal" else init_normal(network)


def scaled(widths: Sequence[int], channels: int) -> list[int]:
    """Multiples of `channels`."""
    return [width * channels for width in widths]
