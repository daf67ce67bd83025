"""UNIT: translation of two domains by a shared latent space. Liu et al. 2017, arXiv:1703.00848.

Each domain has an encoder and a decoder, which meet in layers that both domains share. An image is
encoded to the mean of a normal distribution of variance 1; a sample of it is decoded in either
domain. Decoded in its own domain it must give the image again, in the other one it must convince a
discriminator of that domain, and translated there and back it must give the image again.
"""

import functools
from collections.abc import Mapping
from typing import Literal

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
from ganforge.layers import MultiScaleDiscriminator, spectral_norm
from ganforge_translation.cyclegan import OTHER
from ganforge_translation.requests import checked_source, no_latent
from ganforge_translation.unit_networks import Decoder, Encoder, ResidualBlocks

DOMAINS = tuple(OTHER)
"""In the order in which their images are joined to one batch for the shared layers."""
SHARED = ("encoder_shared", "decoder_shared")
DISCRIMINATORS = tuple(f"discriminator_{domain}" for domain in DOMAINS)


class UnitConfig(ComponentOptions):
    """Options of UNIT."""

    generator_width: int = Field(64, gt=0, description="Channels at full resolution.")
    num_blocks: int = Field(
        3, ge=0, description="Residual blocks that each encoder and each decoder has for itself."
    )
    shared_blocks: int = Field(
        1,
        ge=0,
        description="Residual blocks at the end of the encoders, and as many at the start of the "
        "decoders, that both domains share. 0: only the losses tie the domains together.",
    )
    discriminator_width: int = Field(64, gt=0, description="Channels of the first layer.")
    discriminator_layers: int = Field(
        3,
        ge=1,
        le=6,
        description="Layers after the first. A logit sees 16, 34, 70, 142 ... pixels with "
        "1, 2, 3, 4 ...",
    )
    discriminator_scales: int = Field(
        3, ge=1, le=4, description="Discriminators per domain: of the image, of its half, ..."
    )
    discriminator_norm: Literal["none", "instance", "spectral"] = Field(
        "none", description="spectral normalizes the weights instead of the maps."
    )
    reconstruction_weight: float = Field(
        10.0, ge=0, description="Encoded and decoded in the same domain, mean L1."
    )
    kl_weight: float = Field(
        0.01, ge=0, description="Mean square of the latent mean of an image; its KL divergence."
    )
    cycle_weight: float = Field(10.0, ge=0, description="There and back, mean L1.")
    cycle_kl_weight: float = Field(
        0.01, ge=0, description="Mean square of the latent mean of a translation."
    )
    adversarial_weight: float = Field(
        2.0,
        gt=0,
        description="Generators' adversarial term, of each scale. 2 undoes the 1/2 in "
        "`least_squares`; with a loss that has no 1/2 take 1.",
    )
    discriminator_weight: float = Field(
        2.0, gt=0, description="Discriminators' loss, of each scale; as for the generators' term."
    )


class Unit(Architecture[UnitConfig]):
    """Unpaired image-to-image translation by a variational autoencoder shared by two domains."""

    name, Config = "unit", UnitConfig
    paper = "Liu et al. 2017, arXiv:1703.00848"
    inputs = ("source", "target")
    optimizer = OptimizerConfig(name="adam", lr=1e-4, betas=(0.5, 0.999), weight_decay=1e-4)
    example_options = {
        "generator_width": 4,
        "num_blocks": 1,
        "discriminator_width": 4,
        "discriminator_layers": 1,
        "discriminator_scales": 2,
    }
    directions = ("source_to_target", "target_to_source")
    stride = 4  # two stride-2 layers halve each side of the image twice

    def __init__(self, config: UnitConfig, spec: ImageSpec) -> None:
        super().__init__(config, spec)
        own = [f"{part}_{domain}" for part in ("encoder", "decoder") for domain in DOMAINS]
        self.ema_roles = (*own, *(SHARED if config.shared_blocks else ()))

    def check(self, objective: Objective) -> None:
        """Refuse data of one domain, sizes that do not fit, and penalties without a meaning."""
        if self.spec.source_channels is None:
            raise ConfigError(
                "model.architecture: 'unit' translates between two domains, but the data has one. "
                "Prepare both with data.source: {name: unpaired, source: ..., target: ...}."
            )
        if self.spec.source_kind == "labels":
            raise ConfigError(
                "data.source: 'unit' makes images of both domains, but the source has label maps. "
                "Train pix2pix on pairs, or prepare the label maps as color images."
            )
        self._check_size()
        for regularizer in objective.for_target("generator"):
            raise ConfigError(
                f"loss.regularizers: '{regularizer.name}' is made for a generator that starts from "
                f"a latent; the translators of 'unit' start from images. Remove it; penalties on "
                f"the discriminator (r1, gradient_penalty, ...) work."
            )

    def _check_size(self) -> None:
        config, sides = self.config, (self.spec.height, self.spec.width)
        least = MultiScaleDiscriminator.smallest_size(
            config.discriminator_layers, config.discriminator_scales
        )
        if min(sides) < least:
            raise ConfigError(
                f"data.resolution: {sides[0]}x{sides[1]} is too small for discriminators with "
                f"model.discriminator_layers={config.discriminator_layers} and "
                f"model.discriminator_scales={config.discriminator_scales}, which want {least} "
                f"pixels or more a side. Use larger images, fewer layers or fewer scales."
            )
        if any(side % self.stride for side in sides):
            near = [max(least, round(side / self.stride) * self.stride) for side in sides]
            raise ConfigError(
                f"data.resolution: 'unit' halves each side twice, so that {sides[0]}x{sides[1]} "
                f"would not come back; both must be multiples of {self.stride}. Use "
                f"[{near[0]}, {near[1]}]."
            )

    def networks(self) -> dict[str, nn.Module]:
        """An encoder, a decoder and a discriminator per domain, and the layers they share."""
        config, spec = self.config, self.spec
        width, blocks = config.generator_width, config.num_blocks
        channels = {"source": spec.source_channels or spec.channels, "target": spec.channels}
        networks: dict[str, nn.Module] = {}
        for domain in DOMAINS:
            networks[f"encoder_{domain}"] = Encoder(channels[domain], width, blocks)
            networks[f"decoder_{domain}"] = Decoder(channels[domain], width, blocks)
            networks[f"discriminator_{domain}"] = self._discriminator(channels[domain])
        if config.shared_blocks:
            for role in SHARED:
                networks[role] = ResidualBlocks(4 * width, config.shared_blocks)
        return networks

    def _discriminator(self, channels: int) -> nn.Module:
        config = self.config
        network = MultiScaleDiscriminator(
            channels,
            config.discriminator_width,
            config.discriminator_layers,
            config.discriminator_scales,
            normalize=config.discriminator_norm == "instance",
        )
        if config.discriminator_norm == "spectral":
            for layer in [m for m in network.modules() if isinstance(m, nn.Conv2d)]:
                spectral_norm(layer)
        return network

    def phases(self, objective: Objective) -> list[Phase]:
        """The autoencoders, then both discriminators, then the discriminators' lazy penalties."""
        generators = functools.partial(self.generator_terms, objective)
        discriminators = functools.partial(self.discriminator_terms, objective)
        return [
            Phase("generators", self.ema_roles, generators, every=objective.n_critic),
            *with_penalties(
                Phase("discriminators", DISCRIMINATORS, discriminators),
                objective.for_target("discriminator"),
                functools.partial(_penalty_inputs, objective),
            ),
        ]

    def generator_terms(self, objective: Objective, nets: Networks, batch: Batch) -> Terms:
        """Reconstruct, fool the discriminators, come back, and keep the latents near N(0, 1)."""
        img = {domain: batch[domain] for domain in DOMAINS}
        latent = _encode(nets, img)
        # Decoded by the shared layers once, then in both domains: in its own, and in the other.
        shared = _decode_shared(nets, _sample(latent))
        same_source, gen_source = nets["decoder_source"](shared).chunk(2)
        gen_target, same_target = nets["decoder_target"](shared).chunk(2)
        same, gen = _by_domain(same_source, same_target), _by_domain(gen_source, gen_target)
        gen_latent = _encode(nets, gen)
        # The translation into the source came from the target, and goes back there.
        to_target, to_source = _decode_shared(nets, _sample(gen_latent)).chunk(2)
        back = _by_domain(nets["decoder_source"](to_source), nets["decoder_target"](to_target))

        config = self.config
        terms: Terms = {}
        for i, domain in enumerate(DOMAINS):
            batch.memory[f"gen_{domain}"] = gen[domain].detach()
            adversarial = _adversarial(objective, nets, batch, domain, gen[domain])
            terms |= _weighted(adversarial, config.adversarial_weight)
            reconstruction = _l1(same[domain], img[domain])
            terms[f"reconstruction_{domain}"] = config.reconstruction_weight * reconstruction
            terms[f"kl_{domain}"] = config.kl_weight * _kl(latent.chunk(2)[i])
            terms[f"cycle_{domain}"] = config.cycle_weight * _l1(back[domain], img[domain])
            terms[f"cycle_kl_{domain}"] = config.cycle_kl_weight * _kl(gen_latent.chunk(2)[i])
        return terms

    def discriminator_terms(self, objective: Objective, nets: Networks, batch: Batch) -> Terms:
        """Tell real images of each domain from translations, at each scale."""
        terms: Terms = {}
        for domain in DOMAINS:
            both = objective.augment(torch.cat([batch[domain], _gen_img(nets, batch, domain)]))
            for scale, logits in enumerate(nets[f"discriminator_{domain}"](both)):
                real_logits, gen_logits = logits.chunk(2)
                part = f"{domain}_{scale}"
                found = objective.discriminator(batch, real_logits, gen_logits, part=part)
                terms |= _weighted(found, self.config.discriminator_weight)
        return terms

    def generate(self, nets: Mapping[str, nn.Module], request: GenerateRequest) -> Tensor:
        """Translate `request.source`, by default from the source domain to the target.

        The latent is the mean, without noise, so that all seeds give the same image.

        Raises:
            ShapeError: there is no source, or its shape does not fit.
        """
        self.check_request(request.truncation, request.options)
        direction = request.options.get("direction", self.directions[0])
        is_forward = direction == self.directions[0]
        start, end = DOMAINS if is_forward else DOMAINS[::-1]
        channels = self.spec.source_channels if is_forward else self.spec.channels
        source = checked_source(
            self.name, request, channels or self.spec.channels, Unit.stride, direction
        )
        latent = _encode(nets, {start: source})
        img: Tensor = nets[f"decoder_{end}"](_decode_shared(nets, latent))
        return img


def _encode(nets: Mapping[str, nn.Module], img: Mapping[str, Tensor]) -> Tensor:
    """Latent means of images by domain, joined in the order of `DOMAINS`."""
    maps = [nets[f"encoder_{domain}"](img[domain]) for domain in DOMAINS if domain in img]
    joined = torch.cat(maps)
    latent: Tensor = nets["encoder_shared"](joined) if "encoder_shared" in nets else joined
    return latent


def _sample(latent: Tensor) -> Tensor:
    return latent + torch.randn_like(latent)


def _decode_shared(nets: Mapping[str, nn.Module], latent: Tensor) -> Tensor:
    maps: Tensor = nets["decoder_shared"](latent) if "decoder_shared" in nets else latent
    return maps


def _by_domain(source: Tensor, target: Tensor) -> dict[str, Tensor]:
    return {"source": source, "target": target}


def _weighted(terms: Terms, weight: float) -> Terms:
    return {name: weight * term for name, term in terms.items()}


def _l1(img: Tensor, wanted: Tensor) -> Tensor:
    return (img.float() - wanted.float()).abs().mean()


def _kl(latent: Tensor) -> Tensor:
    """Twice the KL divergence of N(latent, 1) from N(0, 1), per value, as the authors weigh it."""
    return latent.float().square().mean()


def _adversarial(
    objective: Objective, nets: Networks, batch: Batch, domain: str, gen_img: Tensor
) -> Terms:
    discriminator = nets[f"discriminator_{domain}"]

    @functools.cache
    def real() -> list[Tensor]:
        logits: list[Tensor] = discriminator(objective.augment(batch[domain]))
        return logits

    terms: Terms = {}
    for scale, logits in enumerate(discriminator(objective.augment(gen_img))):
        real_logits = functools.partial(lambda scale: real()[scale], scale)
        terms |= objective.generator(logits, real_logits, part=f"{domain}_{scale}")
    return terms


def _gen_img(nets: Networks, batch: Batch, domain: str) -> Tensor:
    """Translations into `domain` from the generators' phase; new ones where it was not due."""
    name = f"gen_{domain}"
    if name not in batch.memory:
        with torch.no_grad():
            latent = _encode(nets, {OTHER[domain]: batch[OTHER[domain]]})
            shared = _decode_shared(nets, _sample(latent))
            batch.memory[name] = nets[f"decoder_{domain}"](shared)
    img: Tensor = batch.memory[name]
    return img


def _penalty_inputs(objective: Objective, nets: Networks, batch: Batch) -> dict[str, PenaltyInput]:
    """The same penalties on each domain's discriminators."""
    return {f"_{domain}": _penalty_input(objective, nets, batch, domain) for domain in DOMAINS}


def _penalty_input(objective: Objective, nets: Networks, batch: Batch, domain: str) -> PenaltyInput:
    discriminator = nets.eager(f"discriminator_{domain}")

    def critic(img: Tensor) -> Tensor:
        # The penalty sees the discriminator through the augmentation, as its loss does, and all
        # scales alike, although the finest one has most of the logits.
        scales = discriminator(objective.augment(img))
        return torch.stack([logits.flatten(1).mean(1) for logits in scales], dim=1)

    return PenaltyInput(
        discriminator=discriminator,
        generator=nets.eager(f"decoder_{domain}"),
        critic=critic,
        nimg=batch.nimg,
        real_img=batch[domain].detach(),
        gen_img=lambda: _gen_img(nets, batch, domain),
        synthesize=no_latent("unit"),
    )
