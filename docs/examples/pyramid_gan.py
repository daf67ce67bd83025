"""LAPGAN: a conditional GAN per level of a pyramid. Source: Denton et al. 2015, arXiv:1506.05751.

Level 0 makes the smallest image from noise; each further level doubles it and adds what a
generator thinks is missing. The levels are trained side by side, each on real images.
"""

import functools
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganforge.api import (
    Architecture,
    Batch,
    ComponentOptions,
    ConfigError,
    Field,
    GenerateRequest,
    ImageSpec,
    Networks,
    Objective,
    Phase,
    Terms,
    hookimpl,
)


class PyramidGanConfig(ComponentOptions):
    """Options of pyramid_gan."""

    num_levels: int = Field(3, ge=2, description="Levels of the pyramid; each doubles the size.")
    width: int = Field(64, gt=0, description="Channels of the hidden layers.")


def shrink(img: Tensor) -> Tensor:
    """Half the size: [N, C, H, W] -> [N, C, H/2, W/2]."""
    return functional.avg_pool2d(img, 2)


def grow(img: Tensor) -> Tensor:
    """Twice the size: [N, C, H, W] -> [N, C, 2H, 2W]."""
    return functional.interpolate(img, scale_factor=2.0, mode="nearest")


class LevelGenerator(nn.Module):
    """noise [N, 1, H, W], low [N, C, H, W] -> difference [N, C, H, W] in [-2, 2]."""

    def __init__(self, config: PyramidGanConfig, shape: tuple[int, int, int]) -> None:
        super().__init__()
        channels = shape[0]
        self.layers = nn.Sequential(
            *(nn.Conv2d(channels + 1, config.width, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(config.width, channels, 3, padding=1), nn.Tanh()),
        )

    def forward(self, noise: Tensor, low: Tensor) -> Tensor:
        """What to add to `low`."""
        difference: Tensor = 2 * self.layers(torch.cat([noise, low], dim=1))
        return difference


class LevelDiscriminator(nn.Module):
    """difference [N, C, H, W], low [N, C, H, W] -> logits [N]."""

    def __init__(self, config: PyramidGanConfig, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv2d(2 * shape[0], config.width, 4, 2, 1), nn.LeakyReLU(0.2)),
            nn.Conv2d(config.width, 1, 3, padding=1),
        )

    def forward(self, difference: Tensor, low: Tensor) -> Tensor:
        """Score; the discriminator sees the sum, too, as the paper's does (Sec. 3.2)."""
        logits: Tensor = self.layers(torch.cat([difference, difference + low], dim=1))
        return logits.mean((1, 2, 3))


class PyramidGan(Architecture[PyramidGanConfig]):
    """A pyramid of conditional GANs, from coarse to fine."""

    name, Config, paper = "pyramid_gan", PyramidGanConfig, "Denton et al. 2015, arXiv:1506.05751"
    example_options = {"width": 4}

    def __init__(self, config: PyramidGanConfig, spec: ImageSpec) -> None:
        super().__init__(config, spec)
        # How many networks generate depends on the options, so it is set on the instance.
        self.levels = range(config.num_levels)
        self.ema_roles = tuple(f"generator_{level}" for level in self.levels)

    def check(self, objective: Objective) -> None:
        """Refuse sizes that do not halve often enough, and what the phases do not follow."""
        step = 1 << (self.config.num_levels - 1)
        height, width = self.spec.height, self.spec.width
        if height % step or width % step:
            raise ConfigError(
                f"data.resolution: {height}x{width} does not halve "
                f"{self.config.num_levels - 1} times (model.num_levels). Use multiples of {step}."
            )
        if objective.regularizers or objective.augmentation or objective.n_critic > 1:
            raise ConfigError(
                "'pyramid_gan' takes no loss.regularizers, loss.n_critic or augment. Remove them."
            )

    def networks(self) -> dict[str, nn.Module]:
        """A pair per level."""
        networks: dict[str, nn.Module] = {}
        for level in self.levels:
            halvings = self.levels[-1] - level
            size = (self.spec.height >> halvings, self.spec.width >> halvings)
            shape = (self.spec.channels, *size)
            networks[f"generator_{level}"] = LevelGenerator(self.config, shape)
            networks[f"discriminator_{level}"] = LevelDiscriminator(self.config, shape)
        return networks

    def phases(self, objective: Objective) -> list[Phase]:
        """A generator and a discriminator phase per level, each with its own optimizer."""
        phases = []
        for level in self.levels:
            gen = functools.partial(self.generator_terms, objective, level)
            disc = functools.partial(self.discriminator_terms, objective, level)
            phases += [
                Phase(f"generator_{level}", (f"generator_{level}",), gen),
                Phase(f"discriminator_{level}", (f"discriminator_{level}",), disc),
            ]
        return phases

    def real_pair(self, batch: Batch, level: int) -> tuple[Tensor, Tensor]:
        """Real difference and low-pass image of a level; at level 0 there is nothing below."""
        img = batch.image
        for _ in range(self.levels[-1] - level):
            img = shrink(img)
        low = grow(shrink(img)) if level else torch.zeros_like(img)
        return img - low, low

    def generator_terms(
        self, objective: Objective, level: int, nets: Networks, batch: Batch
    ) -> Terms:
        """Fool the level's discriminator; what was made is kept for its phase."""
        real, low = self.real_pair(batch, level)
        fake = nets[f"generator_{level}"](torch.randn_like(low[:, :1]), low)
        batch.memory[f"fake_{level}"] = fake.detach()
        discriminator = nets[f"discriminator_{level}"]
        return objective.generator(discriminator(fake, low), lambda: discriminator(real, low))

    def discriminator_terms(
        self, objective: Objective, level: int, nets: Networks, batch: Batch
    ) -> Terms:
        """Tell real differences from made ones, given the low-pass image."""
        real, low = self.real_pair(batch, level)
        fake = batch.memory[f"fake_{level}"]
        real_logits = nets[f"discriminator_{level}"](real, low)
        gen_logits = nets[f"discriminator_{level}"](fake, low)
        return objective.discriminator(batch, real_logits, gen_logits, part=str(level))

    def generate(self, nets: Mapping[str, nn.Module], request: GenerateRequest) -> Tensor:
        """From coarse to fine; each level draws its noise from its own stream of the seed."""
        generators = [nets[role] for role in self.ema_roles]
        halvings = self.levels[-1]
        size = (self.spec.height >> halvings, self.spec.width >> halvings)
        img = torch.zeros(request.size, self.spec.channels, *size, device=request.device)
        for level, generator in enumerate(generators):
            low = grow(img) if level else img
            noise = request.noise(1, *low.shape[2:], stream=level)
            img = low + generator(noise, low)
        return img.clamp(-1, 1)


@hookimpl
def ganforge_architectures() -> list[type[Architecture[Any]]]:
    """Register pyramid_gan."""
    return [PyramidGan]
