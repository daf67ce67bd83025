"""UNIT: translation of two domains by a shared latent space. Liu et al. 2017, arXiv:1703.00848.

Each domain has an encoder and a decoder, which meet in layers that both domains share. An image is
encoded to the mean of a normal distribution of variance 1; a sample of it is decoded in either
domain. Decoded in its own domain it must give the image again, in the other one it must convince a
discriminator of that domain, and translated there and back it must give the image again.
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
    OptimizerConfig,
    PenaltyInput,
    Terms,
)
from ganforge_translation.family import (
    OTHER,
    DiscriminatorNorm,
    ImageTranslator,
    LeastSquaresOptions,
    l1,
    remembered,
    weighted,
)
from ganforge_translation.networks import receptive_field
from ganforge_translation.unit_networks import Decoder, Encoder, ResidualBlocks

DOMAINS = tuple(OTHER)
"""In the order in which their images are joined to one batch for the shared layers."""
SHARED = ("encoder_shared", "decoder_shared")
DISCRIMINATORS = tuple(f"discriminator_{domain}" for domain in DOMAINS)


class UnitConfig(LeastSquaresOptions):
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
    same_start: bool = Field(
        False,
        description="Start the encoders and the decoders of both domains from the same weights, so "
        "that a translation starts as a reconstruction. Without it nothing in the losses says "
        "which color of one domain is which of the other, and short trainings swap them.",
    )
    discriminator_scales: int = Field(
        3, ge=1, le=4, description="Discriminators per domain: of the image, of its half, ..."
    )
    discriminator_norm: DiscriminatorNorm = Field(
        "none",
        description="instance: normalize the maps; spectral: the weights instead; none: neither.",
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
    discriminator_weight: float = Field(
        2.0, gt=0, description="Discriminators' loss; as for the generators' term, of each scale."
    )


class Unit(ImageTranslator[UnitConfig]):
    """Unpaired image-to-image translation by a variational autoencoder shared by two domains."""

    name, Config = "unit", UnitConfig
    paper = "Liu et al. 2017, arXiv:1703.00848"
    discriminator_roles = DISCRIMINATORS
    size_options = ("discriminator_layers", "discriminator_scales")
    optimizer = OptimizerConfig(name="adam", lr=1e-4, betas=(0.5, 0.999), weight_decay=1e-4)
    example_options = {
        "generator_width": 4,
        "num_blocks": 1,
        "discriminator_width": 4,
        "discriminator_layers": 1,
        "discriminator_scales": 2,
    }
    directions = ("source_to_target", "target_to_source")

    def __init__(self, config: UnitConfig, spec: ImageSpec) -> None:
        super().__init__(config, spec)
        own = [f"{part}_{domain}" for part in ("encoder", "decoder") for domain in DOMAINS]
        self.ema_roles = (*own, *(SHARED if config.shared_blocks else ()))
        blocks = 2 * (config.num_blocks + config.shared_blocks)
        self.receptive_field = receptive_field(2, blocks, down_kernel=4, up_kernel=5)
        self.generator_roles, self.num_scales = self.ema_roles, config.discriminator_scales

    def check(self, objective: Objective) -> None:
        """As for every translator; also refuse label maps, which cannot be translated into."""
        super().check(objective)
        if self.spec.source_kind == "labels":
            raise ConfigError(
                "data.source: 'unit' makes images of both domains, but the source has label maps. "
                "Train pix2pix on pairs, or prepare the label maps as color images."
            )
        channels = self.channels
        if self.config.same_start and channels["source"] != channels["target"]:
            raise ConfigError(
                f"model.same_start: true needs images of equal channels, but the source has "
                f"{channels['source']} and the target {channels['target']}. Set data.channels: 3, "
                f"or model.same_start: false."
            )

    def networks(self) -> dict[str, nn.Module]:
        """An encoder, a decoder and a discriminator per domain, and the layers they share."""
        config, channels = self.config, self.channels
        width, blocks = config.generator_width, config.num_blocks
        networks: dict[str, nn.Module] = {}
        for domain in DOMAINS:
            networks[f"encoder_{domain}"] = Encoder(channels[domain], width, blocks)
            networks[f"decoder_{domain}"] = Decoder(channels[domain], width, blocks)
            networks[f"discriminator_{domain}"] = self.multi_scale_discriminator(channels[domain])
        if config.same_start:
            for part in ("encoder", "decoder"):
                networks[f"{part}_target"].load_state_dict(networks[f"{part}_source"].state_dict())
        if config.shared_blocks:
            for role in SHARED:
                networks[role] = ResidualBlocks(4 * width, config.shared_blocks)
        return networks

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
            terms |= weighted(adversarial, config.adversarial_weight)
            reconstruction = l1(same[domain], img[domain])
            terms[f"reconstruction_{domain}"] = config.reconstruction_weight * reconstruction
            terms[f"kl_{domain}"] = config.kl_weight * _kl(latent.chunk(2)[i])
            terms[f"cycle_{domain}"] = config.cycle_weight * l1(back[domain], img[domain])
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
                terms |= weighted(found, self.config.discriminator_weight)
        return terms

    def penalty_inputs(
        self, objective: Objective, nets: Networks, batch: Batch
    ) -> dict[str, PenaltyInput]:
        """The same penalties on the discriminators of each domain."""

        def critic(discriminator: nn.Module, img: Tensor) -> Tensor:
            # All scales count alike, although the finest one has most of the logits.
            scales = discriminator(objective.augment(img))
            return torch.stack([logits.flatten(1).mean(1) for logits in scales], dim=1)

        return {
            f"_{domain}": self.penalized(
                nets,
                batch,
                critic,
                functools.partial(_gen_img, nets, batch, domain),
                generator=f"decoder_{domain}",
                domain=domain,
            )
            for domain in DOMAINS
        }

    def generate(self, nets: Mapping[str, nn.Module], request: GenerateRequest) -> Tensor:
        """Translate `request.source`, by default from the source domain to the target.

        The latent is the mean, without noise, so that all seeds give the same image.

        Raises:
            ShapeError: there is no source, or its shape does not fit.
        """
        start, end = DOMAINS if self.is_forward(request) else DOMAINS[::-1]
        source = self.checked_source(request)
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
    def translate() -> Tensor:
        latent = _encode(nets, {OTHER[domain]: batch[OTHER[domain]]})
        img: Tensor = nets[f"decoder_{domain}"](_decode_shared(nets, _sample(latent)))
        return img

    return remembered(batch, f"gen_{domain}", translate)
