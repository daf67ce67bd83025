"""pix2pix: translation learned from pairs. Isola et al. 2017, arXiv:1611.07004.

A U-Net translates the source; a patch discriminator sees the pair of source and result; an L1 term
keeps the result near the target. The generator's only noise is its dropout, which stays on when it
translates: it is drawn from the seed, so that a seed is one result.
"""

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from ganforge.api import (
    Batch,
    Field,
    GenerateRequest,
    ImageSpec,
    Networks,
    Objective,
    PenaltyInput,
    Terms,
)
from ganforge.layers import UNet, Upsampling
from ganforge_translation.family import (
    ImageTranslator,
    TranslatorOptions,
    UpsamplingOption,
    augmented_pair,
    l1,
    remembered,
    weighted,
)
from ganforge_translation.networks import receptive_field

_MAX_DEPTH = 8


class Pix2pixConfig(TranslatorOptions):
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
    upsampling: UpsamplingOption = "transposed"
    l1_weight: float = Field(100.0, ge=0, description="Lambda: mean L1 distance to the target.")
    discriminator_weight: float = Field(
        0.5, gt=0, description="Discriminator's loss; 1/2 slows it down, as in the paper."
    )


class Pix2pix(ImageTranslator[Pix2pixConfig]):
    """Paired image-to-image translation with a conditional adversarial network."""

    name, Config = "pix2pix", Pix2pixConfig
    paper = "Isola et al. 2017, arXiv:1611.07004"
    is_paired, stride_options = True, ("depth",)
    example_options = {
        "generator_width": 4,
        "depth": 3,
        "discriminator_width": 4,
        "discriminator_layers": 1,
    }

    def __init__(self, config: Pix2pixConfig, spec: ImageSpec) -> None:
        super().__init__(config, spec)
        self.depth = config.depth or max(2, _deepest(spec.height, spec.width, config.upsampling))
        self.stride = 2**self.depth
        self.receptive_field = receptive_field(self.depth, 0, ends=1, down_kernel=4, up_kernel=3)

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
            "discriminator": self.patch_discriminator(sources + spec.channels, affine=True),
        }

    def generator_terms(self, objective: Objective, nets: Networks, batch: Batch) -> Terms:
        """Fool the discriminator, and come near the target."""
        gen_img = nets["generator"](batch["source"])
        batch.memory["gen_img"] = gen_img.detach()
        terms = objective.generator(
            _score(objective, nets, gen_img, batch["source"]),
            lambda: _score(objective, nets, batch["target"], batch["source"]),
        )
        return {**terms, "l1": self.config.l1_weight * l1(gen_img, batch["target"])}

    def discriminator_terms(self, objective: Objective, nets: Networks, batch: Batch) -> Terms:
        """Tell pairs of the data from pairs of a source and its translation."""
        img = torch.cat([batch["target"], _gen_img(nets, batch)])
        logits = _score(objective, nets, img, torch.cat([batch["source"]] * 2))
        real_logits, gen_logits = logits.chunk(2)
        terms = objective.discriminator(batch, real_logits, gen_logits)
        return weighted(terms, self.config.discriminator_weight)

    def penalty_inputs(
        self, objective: Objective, nets: Networks, batch: Batch
    ) -> dict[str, PenaltyInput]:
        """The discriminator of pairs, under the sources of the batch."""

        def critic(discriminator: nn.Module, img: Tensor) -> Tensor:
            logits: Tensor = discriminator(augmented_pair(objective, img, batch["source"]))
            return logits

        return {"": self.penalized(nets, batch, critic, lambda: _gen_img(nets, batch))}

    def generate(self, nets: Mapping[str, nn.Module], request: GenerateRequest) -> Tensor:
        """Translate `request.source`; dropout is drawn from the seeds.

        Raises:
            ShapeError: there is no source, or its shape does not fit.
        """
        source = self.checked_source(request)
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
    logits: Tensor = nets["discriminator"](augmented_pair(objective, img, source))
    return logits


def _gen_img(nets: Networks, batch: Batch) -> Tensor:
    return remembered(batch, "gen_img", lambda: nets["generator"](batch["source"]))
