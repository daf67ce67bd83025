"""pix2pix: translation learned from pairs. Isola et al. 2017, arXiv:1611.07004.

A U-Net translates the source; a patch discriminator sees the pair of source and result; an L1 term
keeps the result near the target. The generator's only noise is its dropout, which stays on when it
translates: it is drawn from the seed, so that a seed is one result.
"""

import functools
from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

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
    OptimizerConfig,
    PenaltyInput,
    Phase,
    Terms,
    with_penalties,
)
from ganforge.layers import PatchDiscriminator, UNet, Upsampling
from ganforge_translation.requests import checked_source, no_latent

_MAX_DEPTH = 8


class Pix2pixConfig(ComponentOptions):
    """Options of pix2pix."""

    generator_width: int = Field(64, gt=0, description="Channels at half resolution.")
    depth: int | None = Field(
        None,
        ge=2,
        le=_MAX_DEPTH,
        description="Encoder layers, each of half the size of the one before. Default: as many as "
        "the image allows, at most 8: down to 1x1 for 256x256 (2x2 with upsampling resize).",
    )
    dropout: float = Field(
        0.5, ge=0, lt=1, description="Dropout in three decoder layers, also when translating."
    )
    upsampling: Upsampling = Field(
        "transposed",
        description="transposed: as in the paper; resize: nearest neighbor and a convolution, "
        "which leaves no checkerboard.",
    )
    discriminator_width: int = Field(64, gt=0, description="Channels of the first layer.")
    discriminator_layers: int = Field(
        3,
        ge=1,
        le=6,
        description="Layers after the first. A logit sees 16, 34, 70, 142 ... pixels with "
        "1, 2, 3, 4 ...",
    )
    l1_weight: float = Field(100.0, ge=0, description="Lambda: mean L1 distance to the target.")
    discriminator_weight: float = Field(
        0.5, gt=0, description="Discriminator's loss; 1/2 slows it down, as in the paper."
    )


class Pix2pix(Architecture[Pix2pixConfig]):
    """Paired image-to-image translation with a conditional adversarial network."""

    name, Config = "pix2pix", Pix2pixConfig
    paper = "Isola et al. 2017, arXiv:1611.07004"
    inputs = ("source", "target")
    optimizer = OptimizerConfig(name="adam", lr=2e-4, betas=(0.5, 0.999))
    example_options = {
        "generator_width": 4,
        "depth": 3,
        "discriminator_width": 4,
        "discriminator_layers": 1,
    }
    directions = ("source_to_target",)

    def __init__(self, config: Pix2pixConfig, spec: ImageSpec) -> None:
        super().__init__(config, spec)
        self.depth = config.depth or _deepest(spec.height, spec.width, config.upsampling)
        self.stride = 2**self.depth

    def check(self, objective: Objective) -> None:
        """Refuse data without pairs, sizes that do not fit, and penalties without a meaning."""
        spec = self.spec
        if spec.source_channels is None:
            raise ConfigError(
                "model.architecture: 'pix2pix' learns from pairs, but the data has one image per "
                "sample. Prepare pairs with data.source: {name: pairs, source: ..., target: ...}, "
                "or derive the source from the image, e.g. data.derive: edges."
            )
        least = PatchDiscriminator.smallest_size(self.config.discriminator_layers)
        if min(spec.height, spec.width) < least:
            raise ConfigError(
                f"data.resolution: {spec.height}x{spec.width} is too small for a discriminator "
                f"with model.discriminator_layers={self.config.discriminator_layers}, which wants "
                f"{least} pixels or more a side. Use larger images or fewer layers."
            )
        if self.depth < 2 or spec.height % 2**self.depth or spec.width % 2**self.depth:
            raise ConfigError(
                f"data.resolution: {spec.height}x{spec.width} cannot be halved "
                f"{max(2, self.depth)} times (model.depth). Use sides that are multiples of "
                f"{2 ** max(2, self.depth)}, or a smaller depth."
            )
        for regularizer in objective.for_target("generator"):
            raise ConfigError(
                f"loss.regularizers: '{regularizer.name}' is made for a generator that starts from "
                f"a latent; that of 'pix2pix' starts from an image. Remove it; penalties on the "
                f"discriminator (r1, r2, gradient_penalty, ...) work."
            )

    def networks(self) -> dict[str, nn.Module]:
        """The U-Net and the discriminator of pairs."""
        config, spec = self.config, self.spec
        sources = spec.source_channels or spec.channels
        return {
            "generator": UNet(
                sources,
                spec.channels,
                [config.generator_width * min(1 << i, 8) for i in range(self.depth)],
                dropout=config.dropout,
                upsampling=config.upsampling,
            ),
            "discriminator": PatchDiscriminator(
                sources + spec.channels,
                config.discriminator_width,
                config.discriminator_layers,
                affine=True,
            ),
        }

    def phases(self, objective: Objective) -> list[Phase]:
        """The generator, the discriminator, and its lazy penalties."""
        generator = functools.partial(self.generator_terms, objective)
        discriminator = functools.partial(self.discriminator_terms, objective)
        return [
            Phase("generator", ("generator",), generator, every=objective.n_critic),
            *with_penalties(
                Phase("discriminator", ("discriminator",), discriminator),
                objective.for_target("discriminator"),
                functools.partial(_penalty_inputs, objective),
            ),
        ]

    def generator_terms(self, objective: Objective, nets: Networks, batch: Batch) -> Terms:
        """Fool the discriminator, and come near the target."""
        gen_img = nets["generator"](batch["source"])
        batch.memory["gen_img"] = gen_img.detach()
        terms = objective.generator(
            _score(objective, nets, gen_img, batch["source"]),
            lambda: _score(objective, nets, batch["target"], batch["source"]),
        )
        distance = (gen_img.float() - batch["target"].float()).abs().mean()
        return {**terms, "l1": self.config.l1_weight * distance}

    def discriminator_terms(self, objective: Objective, nets: Networks, batch: Batch) -> Terms:
        """Tell pairs of the data from pairs of a source and its translation."""
        img = torch.cat([batch["target"], _gen_img(nets, batch)])
        logits = _score(objective, nets, img, torch.cat([batch["source"]] * 2))
        real_logits, gen_logits = logits.chunk(2)
        terms = objective.discriminator(batch, real_logits, gen_logits)
        return {name: self.config.discriminator_weight * term for name, term in terms.items()}

    def generate(self, nets: Mapping[str, nn.Module], request: GenerateRequest) -> Tensor:
        """Translate `request.source`; dropout is drawn from the seeds.

        Raises:
            ShapeError: there is no source, or its shape does not fit.
        """
        self.check_request(request.truncation, request.options)
        source = checked_source(
            self.name, request, self.spec.source_channels or self.spec.channels, 2**self.depth
        )
        generator = cast(UNet, nets["generator"])

        def drop(x: Tensor, layer: int) -> Tensor:
            kept = request.uniform(*x.shape[1:], stream=layer) >= generator.dropout
            return x * kept / (1 - generator.dropout)

        img: Tensor = generator(source, drop)
        return img


def _deepest(height: int, width: int, upsampling: Upsampling) -> int:
    """How often both sides can be halved, at most 8 times.

    A map of one pixel that is resized is constant, which normalization erases: then once less.
    """
    both = height | width
    most = (both & -both).bit_length() - 1
    if upsampling == "resize":
        most = min(most, min(height, width).bit_length() - 2)
    return min(_MAX_DEPTH, most)


def _score(objective: Objective, nets: Networks, img: Tensor, source: Tensor) -> Tensor:
    img, source = objective.augment(img, along=source)
    logits: Tensor = nets["discriminator"](torch.cat([source, img], dim=1))
    return logits


def _gen_img(nets: Networks, batch: Batch) -> Tensor:
    """Translations from the generator's phase; new ones where it was not due."""
    if "gen_img" not in batch.memory:
        with torch.no_grad():
            batch.memory["gen_img"] = nets["generator"](batch["source"])
    img: Tensor = batch.memory["gen_img"]
    return img


def _penalty_inputs(objective: Objective, nets: Networks, batch: Batch) -> dict[str, PenaltyInput]:
    discriminator = nets.eager("discriminator")

    def critic(img: Tensor) -> Tensor:
        # The penalty sees the discriminator through the augmentation, as its loss does.
        img, source = objective.augment(img, along=batch["source"])
        logits: Tensor = discriminator(torch.cat([source, img], dim=1))
        return logits

    return {
        "": PenaltyInput(
            discriminator=discriminator,
            generator=nets.eager("generator"),
            critic=critic,
            nimg=batch.nimg,
            real_img=batch["target"].detach(),
            gen_img=lambda: _gen_img(nets, batch),
            synthesize=no_latent("pix2pix"),
        )
    }
