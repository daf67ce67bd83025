"""CycleGAN: translation between two domains without pairs. Zhu et al. 2017, arXiv:1703.10593.

Two translators are trained against two patch discriminators; translating there and back must
give the image again, and an image that is already of the wanted domain should stay as it is.
"""

import functools
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ganforge.api import (
    Architecture,
    Batch,
    ComponentOptions,
    ConfigError,
    Field,
    GenerateRequest,
    Networks,
    Objective,
    OptimizerConfig,
    PenaltyInput,
    Phase,
    Terms,
    with_penalties,
)
from ganforge.layers import PatchDiscriminator, Upsampling
from ganforge_translation.networks import Translator
from ganforge_translation.pool import exchange
from ganforge_translation.requests import checked_source, no_latent

OTHER = {"source": "target", "target": "source"}
"""Each domain's counterpart: `generator_<domain>` translates into <domain> from the other."""
GENERATORS = ("generator_target", "generator_source")
DISCRIMINATORS = ("discriminator_target", "discriminator_source")


class CycleganConfig(ComponentOptions):
    """Options of CycleGAN."""

    generator_width: int = Field(64, gt=0, description="Channels at full resolution.")
    num_blocks: int | None = Field(
        None, ge=0, description="Residual blocks. Default: 6 up to 128 pixels, 9 above."
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
    cycle_weight: float = Field(10.0, ge=0, description="Lambda: there and back, mean L1.")
    identity_weight: float = Field(
        5.0, ge=0, description="Images already of the wanted domain, mean L1; 0 saves the work."
    )
    adversarial_weight: float = Field(
        2.0,
        gt=0,
        description="Generators' adversarial term. 2 undoes the 1/2 in `least_squares`, which "
        "gives the paper's balance of 1 : 10; with a loss that has no 1/2 take 1.",
    )
    discriminator_weight: float = Field(
        1.0,
        gt=0,
        description="Discriminators' loss. `least_squares` has the paper's 1/2; with a loss "
        "that has none take 0.5.",
    )
    pool_size: int = Field(
        50, ge=0, description="Images that the discriminators' pool holds, per slot; 0: none."
    )


class Cyclegan(Architecture[CycleganConfig]):
    """Unpaired image-to-image translation by cycle-consistent adversarial networks."""

    name, Config = "cyclegan", CycleganConfig
    paper = "Zhu et al. 2017, arXiv:1703.10593"
    inputs = ("source", "target")
    ema_roles = GENERATORS
    optimizer = OptimizerConfig(name="adam", lr=2e-4, betas=(0.5, 0.999))
    example_options = {
        "generator_width": 4,
        "num_blocks": 1,
        "discriminator_width": 4,
        "discriminator_layers": 1,
    }
    directions = ("source_to_target", "target_to_source")
    stride = 4  # two stride-2 layers halve each side of the image twice

    def check(self, objective: Objective) -> None:
        """Refuse data of one domain, sizes that do not fit, and penalties without a meaning."""
        spec = self.spec
        if spec.source_channels is None:
            raise ConfigError(
                "model.architecture: 'cyclegan' translates between two domains, but the data has "
                "one. Prepare both with data.source: {name: unpaired, source: ..., target: ...}."
            )
        self._check_size()
        if self.config.identity_weight > 0 and spec.source_channels != spec.channels:
            raise ConfigError(
                f"model.identity_weight={self.config.identity_weight} feeds each translator images "
                f"of its own domain, but the source has {spec.source_channels} channels and the "
                f"target {spec.channels}. Set model.identity_weight: 0, or data.channels: 3."
            )
        for regularizer in objective.for_target("generator"):
            raise ConfigError(
                f"loss.regularizers: '{regularizer.name}' is made for a generator that starts from "
                f"a latent; the translators of 'cyclegan' start from images. Remove it; penalties "
                f"on the discriminator (r1, gradient_penalty, ...) work."
            )

    def _check_size(self) -> None:
        spec = self.spec
        least = PatchDiscriminator.smallest_size(self.config.discriminator_layers)
        sides = (spec.height, spec.width)
        if min(sides) < least:
            raise ConfigError(
                f"data.resolution: {spec.height}x{spec.width} is too small for a discriminator "
                f"with model.discriminator_layers={self.config.discriminator_layers}, which wants "
                f"{least} pixels or more a side. Use larger images or fewer layers."
            )
        if any(side % self.stride for side in sides):
            near = [max(least, round(side / self.stride) * self.stride) for side in sides]
            raise ConfigError(
                f"data.resolution: 'cyclegan' halves each side twice, so that {spec.height}x"
                f"{spec.width} would not come back; both must be multiples of {self.stride}. "
                f"Use [{near[0]}, {near[1]}]."
            )

    def networks(self) -> dict[str, nn.Module]:
        """Two translators and two discriminators, named after the domain they make or judge."""
        config, spec = self.config, self.spec
        channels = {"source": spec.source_channels or spec.channels, "target": spec.channels}
        blocks = config.num_blocks
        if blocks is None:
            blocks = 6 if max(spec.height, spec.width) <= 128 else 9
        networks: dict[str, nn.Module] = {}
        for domain in ("target", "source"):
            networks[f"generator_{domain}"] = Translator(
                channels[OTHER[domain]],
                channels[domain],
                config.generator_width,
                blocks,
                config.upsampling,
            )
            networks[f"discriminator_{domain}"] = PatchDiscriminator(
                channels[domain], config.discriminator_width, config.discriminator_layers
            )
        return networks

    def phases(self, objective: Objective) -> list[Phase]:
        """Both generators, then both discriminators, then the discriminators' lazy penalties."""
        generators = functools.partial(self.generator_terms, objective)
        discriminators = functools.partial(self.discriminator_terms, objective)
        return [
            Phase("generators", GENERATORS, generators, every=objective.n_critic),
            *with_penalties(
                Phase("discriminators", DISCRIMINATORS, discriminators),
                objective.for_target("discriminator"),
                functools.partial(_penalty_inputs, objective),
            ),
        ]

    def generator_terms(self, objective: Objective, nets: Networks, batch: Batch) -> Terms:
        """Fool the discriminators, come back, and leave the wanted domain alone."""
        gen_img, same_img = {}, {}
        for domain in OTHER:
            gen_img[domain], same_img[domain] = self._translate(nets, batch, domain)
            batch.memory[f"gen_{domain}"] = gen_img[domain].detach()
        terms: Terms = {}
        for domain, other in OTHER.items():
            adversarial = self._adversarial(objective, nets, batch, domain, gen_img[domain])
            terms |= _weighted(adversarial, self.config.adversarial_weight)
            back_img = nets[f"generator_{domain}"](gen_img[other])
            terms[f"cycle_{domain}"] = self.config.cycle_weight * _l1(back_img, batch[domain])
            if self.config.identity_weight:
                identity = _l1(same_img[domain], batch[domain])
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
            terms |= _weighted(found, self.config.discriminator_weight)
        return terms

    def generate(self, nets: Mapping[str, nn.Module], request: GenerateRequest) -> Tensor:
        """Translate `request.source`, by default from the source domain to the target.

        Raises:
            ShapeError: there is no source, or its shape does not fit.
        """
        self.check_request(request.truncation, request.options)
        direction = request.options.get("direction", self.directions[0])
        is_forward = direction == self.directions[0]
        channels = self.spec.source_channels if is_forward else self.spec.channels
        source = checked_source(
            self.name, request, channels or self.spec.channels, Cyclegan.stride, direction
        )
        img: Tensor = nets["generator_target" if is_forward else "generator_source"](source)
        return img


def _weighted(terms: Terms, weight: float) -> Terms:
    return {name: weight * term for name, term in terms.items()}


def _l1(img: Tensor, wanted: Tensor) -> Tensor:
    return (img.float() - wanted.float()).abs().mean()


def _gen_img(nets: Networks, batch: Batch, domain: str) -> Tensor:
    """Translations into `domain` from the generators' phase; new ones where it was not due."""
    name = f"gen_{domain}"
    if name not in batch.memory:
        with torch.no_grad():
            batch.memory[name] = nets[f"generator_{domain}"](batch[OTHER[domain]])
    img: Tensor = batch.memory[name]
    return img


def _penalty_inputs(objective: Objective, nets: Networks, batch: Batch) -> dict[str, PenaltyInput]:
    """The same penalties on each discriminator."""
    return {f"_{domain}": _penalty_input(objective, nets, batch, domain) for domain in OTHER}


def _penalty_input(objective: Objective, nets: Networks, batch: Batch, domain: str) -> PenaltyInput:
    discriminator = nets.eager(f"discriminator_{domain}")

    def critic(img: Tensor) -> Tensor:
        # The penalty sees the discriminator through the augmentation, as its loss does.
        logits: Tensor = discriminator(objective.augment(img))
        return logits

    return PenaltyInput(
        discriminator=discriminator,
        generator=nets.eager(f"generator_{domain}"),
        critic=critic,
        nimg=batch.nimg,
        real_img=batch[domain].detach(),
        gen_img=lambda: _gen_img(nets, batch, domain),
        synthesize=no_latent("cyclegan"),
    )
