"""CycleGAN: translation between two domains without pairs. Zhu et al. 2017, arXiv:1703.10593.

Two translators are trained against two patch discriminators; translating there and back must
give the image again, and an image that is already of the wanted domain should stay as it is.
"""

import functools
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ganforge.api import (
    Batch,
    ConfigError,
    Field,
    GenerateRequest,
    ImageSpec,
    Networks,
    Objective,
    PenaltyInput,
    Terms,
)
from ganforge_translation.family import (
    OTHER,
    ImageTranslator,
    LeastSquaresOptions,
    UpsamplingOption,
    l1,
    remembered,
    seen_by,
    weighted,
)
from ganforge_translation.networks import UP_KERNELS, Translator, receptive_field
from ganforge_translation.pool import exchange

GENERATORS = ("generator_target", "generator_source")
"""`generator_<domain>` translates into <domain> from the other."""
DISCRIMINATORS = ("discriminator_target", "discriminator_source")


class CycleganConfig(LeastSquaresOptions):
    """Options of CycleGAN."""

    generator_width: int = Field(64, gt=0, description="Channels at full resolution.")
    num_blocks: int | None = Field(
        None, ge=0, description="Residual blocks. Default: 6 up to 128 pixels, 9 above."
    )
    upsampling: UpsamplingOption = "transposed"
    cycle_weight: float = Field(10.0, ge=0, description="Lambda: there and back, mean L1.")
    identity_weight: float = Field(
        5.0, ge=0, description="Images already of the wanted domain, mean L1; 0 saves the work."
    )
    pool_size: int = Field(
        50, ge=0, description="Images that the discriminators' pool holds, per slot; 0: none."
    )


class Cyclegan(ImageTranslator[CycleganConfig]):
    """Unpaired image-to-image translation by cycle-consistent adversarial networks."""

    name, Config = "cyclegan", CycleganConfig
    paper = "Zhu et al. 2017, arXiv:1703.10593"
    ema_roles = generator_roles = GENERATORS
    discriminator_roles = DISCRIMINATORS
    example_options = {
        "generator_width": 4,
        "num_blocks": 1,
        "discriminator_width": 4,
        "discriminator_layers": 1,
    }
    directions = ("source_to_target", "target_to_source")

    def __init__(self, config: CycleganConfig, spec: ImageSpec) -> None:
        super().__init__(config, spec)
        blocks = config.num_blocks
        if blocks is None:
            blocks = 6 if max(spec.height, spec.width) <= 128 else 9
        self.num_blocks = blocks
        up_kernel = UP_KERNELS[config.upsampling]
        self.receptive_field = receptive_field(2, blocks, up_kernel=up_kernel)

    def check(self, objective: Objective) -> None:
        """As for every translator; also refuse an identity loss between different channels."""
        super().check(objective)
        spec = self.spec
        if self.config.identity_weight > 0 and spec.source_channels != spec.channels:
            raise ConfigError(
                f"model.identity_weight={self.config.identity_weight} feeds each translator images "
                f"of its own domain, but the source has {spec.source_channels} channels and the "
                f"target {spec.channels}. Set model.identity_weight: 0, or data.channels: 3."
            )

    def networks(self) -> dict[str, nn.Module]:
        """Two translators and two discriminators, named after the domain they make or judge."""
        config, channels = self.config, self.channels
        networks: dict[str, nn.Module] = {}
        for domain in ("target", "source"):
            networks[f"generator_{domain}"] = Translator(
                channels[OTHER[domain]],
                channels[domain],
                config.generator_width,
                self.num_blocks,
                config.upsampling,
            )
            networks[f"discriminator_{domain}"] = self.patch_discriminator(channels[domain])
        return networks

    def generator_terms(self, objective: Objective, nets: Networks, batch: Batch) -> Terms:
        """Fool the discriminators, come back, and leave the wanted domain alone."""
        gen_img, same_img = {}, {}
        for domain in OTHER:
            gen_img[domain], same_img[domain] = self._translate(nets, batch, domain)
            batch.memory[f"gen_{domain}"] = gen_img[domain].detach()
        terms: Terms = {}
        for domain, other in OTHER.items():
            adversarial = self._adversarial(objective, nets, batch, domain, gen_img[domain])
            terms |= weighted(adversarial, self.config.adversarial_weight)
            back_img = nets[f"generator_{domain}"](gen_img[other])
            terms[f"cycle_{domain}"] = self.config.cycle_weight * l1(back_img, batch[domain])
            if self.config.identity_weight:
                identity = l1(same_img[domain], batch[domain])
                terms[f"identity_{domain}"] = self.config.identity_weight * identity
        return terms

    def _translate(self, nets: Networks, batch: Batch, domain: str) -> tuple[Tensor, Tensor]:
        """Translate into `domain`: images of the other domain, and images already there."""
        translator, others = nets[f"generator_{domain}"], batch[OTHER[domain]]
        if not self.config.identity_weight:
            img = translator(others)
            return img, img
        # One pass of twice the size does the work of two; instance norm keeps the images apart.
        gen_img, same_img = translator(torch.cat([others, batch[domain]])).chunk(2)
        return gen_img, same_img

    def _adversarial(
        self, objective: Objective, nets: Networks, batch: Batch, domain: str, gen_img: Tensor
    ) -> Terms:
        discriminator = nets[f"discriminator_{domain}"]
        return objective.generator(
            discriminator(objective.augment(gen_img)),
            lambda: discriminator(objective.augment(batch[domain])),
            part=domain,
        )

    def discriminator_terms(self, objective: Objective, nets: Networks, batch: Batch) -> Terms:
        """Tell real images of each domain from translations, new ones and those of the pool."""
        terms: Terms = {}
        for domain in OTHER:
            new = _gen_img(nets, batch, domain)
            shown = exchange(batch.slot_state, domain, new, self.config.pool_size)
            both = objective.augment(torch.cat([batch[domain], shown]))
            real_logits, gen_logits = nets[f"discriminator_{domain}"](both).chunk(2)
            found = objective.discriminator(batch, real_logits, gen_logits, part=domain)
            terms |= weighted(found, self.config.discriminator_weight)
        return terms

    def penalty_inputs(
        self, objective: Objective, nets: Networks, batch: Batch
    ) -> dict[str, PenaltyInput]:
        """The same penalties on each discriminator."""
        return {
            f"_{domain}": self.penalized(
                nets,
                batch,
                seen_by(objective),
                functools.partial(_gen_img, nets, batch, domain),
                generator=f"generator_{domain}",
                domain=domain,
            )
            for domain in OTHER
        }

    def generate(self, nets: Mapping[str, nn.Module], request: GenerateRequest) -> Tensor:
        """Translate `request.source`, by default from the source domain to the target.

        Raises:
            ShapeError: there is no source, or its shape does not fit.
        """
        role = GENERATORS[0] if self.is_forward(request) else GENERATORS[1]
        img: Tensor = nets[role](self.checked_source(request))
        return img


def _gen_img(nets: Networks, batch: Batch, domain: str) -> Tensor:
    translator = nets[f"generator_{domain}"]
    return remembered(batch, f"gen_{domain}", lambda: translator(batch[OTHER[domain]]))
