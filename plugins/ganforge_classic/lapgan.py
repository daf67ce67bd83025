"""LAPGAN: a conditional GAN for each level of a pyramid. Denton et al. 2015, arXiv:1506.05751.

Each level is trained on its own: its generator gets the real image of the level below, enlarged,
and adds what is missing; its discriminator sees the sum. Generation goes from coarse to fine.

Deviations from the paper: levels are counted from the coarsest and trained side by side on the
same batches; 2x2 means and bilinear enlargement in place of its blur; sizes of the convolutions.
"""

import functools
from collections.abc import Mapping
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from ganforge.api import (
    Architecture,
    Batch,
    ConfigError,
    GenerateRequest,
    ImageSpec,
    Networks,
    Objective,
    OptimizerConfig,
    PenaltyInput,
    Phase,
    Terms,
    with_penalties,
)
from ganforge_classic.lapgan_networks import (
    BandDiscriminator,
    BandGenerator,
    BaseDiscriminator,
    BaseGenerator,
    LapganConfig,
)
from ganforge_classic.layers import uniform_latent, uniform_request_latent
from ganforge_classic.pyramid import enlarge, gaussian_pyramid

_SMALLEST = 4


class Lapgan(Architecture[LapganConfig]):
    """Laplacian pyramid of GANs (Denton et al. 2015): networks `generator_0`, the coarsest, ..."""

    name, Config = "lapgan", LapganConfig
    paper = "Denton et al. 2015, arXiv:1506.05751"
    optional_inputs = ("label",)
    optimizer = OptimizerConfig(name="sgd", lr=0.02, momentum=0.5)
    example_options = {
        "z_dim": 8,
        "levels": 2,
        "base_generator_units": 16,
        "base_discriminator_units": 16,
        "generator_channels": 4,
        "discriminator_channels": 4,
        "kernel_size": 3,
    }

    def __init__(self, config: LapganConfig, spec: ImageSpec) -> None:
        super().__init__(config, spec)
        self.ema_roles = tuple(f"generator_{level}" for level in range(config.levels))

    def check(self, objective: Objective) -> None:
        """Refuse sizes that cannot be halved often enough, and even kernels."""
        if self.config.kernel_size % 2 == 0:
            raise ConfigError(
                f"model.kernel_size={self.config.kernel_size}: 'lapgan' adds what its convolutions "
                f"make to an image of the same size, so they must be odd. Use "
                f"{self.config.kernel_size - 1} or {self.config.kernel_size + 1}."
            )
        spec, scale = self.spec, 2 ** (self.config.levels - 1)
        sides = (spec.height, spec.width)
        if all(side % scale == 0 and side // scale >= _SMALLEST for side in sides):
            return
        near = [max(_SMALLEST, round(side / scale)) * scale for side in sides]
        raise ConfigError(
            f"data.resolution: 'lapgan' with model.levels={self.config.levels} halves each side "
            f"{self.config.levels - 1} times to {_SMALLEST} pixels or more, which "
            f"{spec.height}x{spec.width} does not allow. Use [{near[0]}, {near[1]}] (data.resize: "
            f"pad adds a border without resampling) or fewer levels."
        )

    def networks(self) -> dict[str, nn.Module]:
        """`generator_<level>` and `discriminator_<level>`."""
        networks: dict[str, nn.Module] = {}
        for level in range(self.config.levels):
            scale = 2 ** (self.config.levels - 1 - level)
            own = replace(
                self.spec, height=self.spec.height // scale, width=self.spec.width // scale
            )
            generator = BandGenerator if level else BaseGenerator
            discriminator = BandDiscriminator if level else BaseDiscriminator
            networks[f"generator_{level}"] = generator(self.config, own)
            networks[f"discriminator_{level}"] = discriminator(self.config, own)
        return networks

    def phases(self, objective: Objective) -> list[Phase]:
        """For each level: discriminator and generator, each followed by its lazy penalties."""
        return [p for level in range(self.config.levels) for p in self._level(objective, level)]

    def _level(self, objective: Objective, level: int) -> list[Phase]:
        phases = []
        for target, terms in (
            ("discriminator", self.discriminator_terms),
            ("generator", self.generator_terms),
        ):
            role = f"{target}_{level}"
            every = objective.n_critic if target == "generator" else 1
            phase = Phase(role, (role,), functools.partial(terms, objective, level), every=every)
            inputs = functools.partial(self.penalty_inputs, objective, level)
            phases += with_penalties(phase, objective.for_target(target), inputs)
        return phases

    def generator_terms(
        self, objective: Objective, level: int, nets: Networks, batch: Batch
    ) -> Terms:
        """The adversarial term of a level's generator."""
        discriminator, c = nets[f"discriminator_{level}"], batch.label
        gen_img = self.compose(nets[f"generator_{level}"], level, batch, self.latent(level, batch))
        return objective.generator(
            discriminator(objective.augment(gen_img), c),
            lambda: discriminator(objective.augment(self.real_img(level, batch)), c),
        )

    def discriminator_terms(
        self, objective: Objective, level: int, nets: Networks, batch: Batch
    ) -> Terms:
        """The adversarial term of a level's discriminator, on sums over the same low-pass."""
        discriminator, c = nets[f"discriminator_{level}"], batch.label
        real_img = objective.augment(self.real_img(level, batch))
        gen_img = objective.augment(self.gen_img(level, nets, batch))
        others = objective.other_conditions(self.conditions, c)
        return objective.discriminator(
            batch,
            discriminator(real_img, c),
            discriminator(gen_img, c),
            part=str(level),
            adapt=level == self.config.levels - 1,
            rescored={term: discriminator(real_img, other) for term, other in others.items()},
        )

    def penalty_inputs(
        self, objective: Objective, level: int, nets: Networks, batch: Batch
    ) -> dict[str, PenaltyInput]:
        """What penalties on one level's networks look at."""
        generator, c = nets.eager(f"generator_{level}"), batch.label
        discriminator = nets.eager(f"discriminator_{level}")
        penalized = PenaltyInput(
            discriminator=discriminator,
            generator=generator,
            critic=lambda img: discriminator(objective.augment(img), c),
            nimg=batch.nimg,
            real_img=self.real_img(level, batch),
            gen_img=lambda: self.gen_img(level, nets, batch),
            synthesize=lambda num: self._synthesize(generator, level, batch, num),
        )
        return {"": penalized}

    def real_img(self, level: int, batch: Batch) -> Tensor:
        """[N, C, h, w] real images of a level."""
        if "pyramid" not in batch.memory:
            batch.memory["pyramid"] = gaussian_pyramid(batch.image, self.config.levels)
        return cast(Tensor, batch.memory["pyramid"][level])

    def gen_img(self, level: int, nets: Networks, batch: Batch) -> Tensor:
        """[N, C, h, w] images for a level's discriminator, without gradient; drawn once a step."""
        key = f"gen_{level}"
        if key not in batch.memory:
            with torch.no_grad():
                z = self.latent(level, batch)
                batch.memory[key] = self.compose(nets[f"generator_{level}"], level, batch, z)
        return cast(Tensor, batch.memory[key])

    def latent(self, level: int, batch: Batch) -> Tensor:
        """Draw a level's z [N, its size] from U[-1, 1]."""
        img = self.real_img(level, batch)
        size = img.shape[2] * img.shape[3] if level else self.config.z_dim
        return uniform_latent(batch.size, size, img)

    def compose(self, generator: nn.Module, level: int, batch: Batch, z: Tensor) -> Tensor:
        """Images [n, C, h, w] of a level from z [n, ...], over the real images of the one below."""
        num = z.shape[0]
        c = batch.label[:num]
        if level == 0:
            return cast(Tensor, generator(z, c))
        low = enlarge(self.real_img(level - 1, batch)[:num])
        return cast(Tensor, low + generator(z, low, c))

    def _synthesize(
        self, generator: nn.Module, level: int, batch: Batch, num: int
    ) -> tuple[Tensor, Tensor]:
        z = self.latent(level, batch)[:num].requires_grad_(True)
        return self.compose(generator, level, batch, z), z

    def generate(self, nets: Mapping[str, nn.Module], request: GenerateRequest) -> Tensor:
        """Images [N, C, H, W]: the coarsest from the seeds, then one band after the other."""
        self.check_request(request.truncation, request.options)
        base = cast(BaseGenerator, nets["generator_0"])
        c = request.random_label(self.spec.num_classes)
        img: Tensor = base(uniform_request_latent(request, base.z_dim), c)
        for level in range(1, self.config.levels):
            generator = cast(BandGenerator, nets[f"generator_{level}"])
            low = enlarge(img)
            z = uniform_request_latent(request, generator.z_dim, stream=level)
            # Training saw images in [-1, 1] below.
            img = (low + generator(z, low, c)).clamp(-1.0, 1.0)
        return img
