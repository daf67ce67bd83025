"""The losses of pix2pixHD: adversarial at several scales, feature matching, perceptual.

Source: Wang et al. 2018, arXiv:1711.11585, sections 3.2 and 3.3, with the weights of the authors'
code.
"""

import functools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ganforge.api import (
    Batch,
    ComponentChoice,
    ConfigError,
    Field,
    FrozenFeatures,
    ImageSpec,
    Objective,
    Terms,
)
from ganforge_translation.family import LeastSquaresWeights, weighted

Maps = Sequence[Sequence[Tensor]]
"""For each scale of a discriminator the maps of its layers, the logits last."""

_AUTHORS_LAYERS = 4
"""Maps that feature matching compares at each scale of the paper's discriminator."""


def aligned_pairs(
    objective: Objective, source: Tensor, gen_img: Tensor, real_img: Tensor
) -> tuple[Tensor, Tensor]:
    """Pairs with the generated and with the real images under the same augmentation.

    Features are compared pixel by pixel, so both must be moved alike: frames of a clip are.
    """
    if objective.augmentation is None:
        return torch.cat([source, gen_img], dim=1), torch.cat([source, real_img], dim=1)
    clip, sources = torch.stack([gen_img, real_img], dim=1), torch.stack([source] * 2, dim=1)
    clip, sources = objective.augment(clip, along=sources)
    gen_pair, real_pair = torch.cat([sources, clip], dim=2).unbind(1)
    return gen_pair, real_pair


def feature_distance(gen: Maps, real: Maps) -> Tensor:
    """Mean over the scales of the sum over four layers of the mean L1 distance.

    Args:
        gen: maps of generated images.
        real: maps of the real images, without gradient.
    """
    distances = [
        (gen_map.float() - real_map.float()).abs().mean()
        for gen_maps, real_maps in zip(gen, real, strict=True)
        for gen_map, real_map in zip(gen_maps[:-1], real_maps[:-1], strict=True)
    ]
    return _AUTHORS_LAYERS * torch.stack(distances).mean()


def perceptual_distance(features: FrozenFeatures, gen_img: Tensor, real_img: Tensor) -> Tensor:
    """Sum over n maps of their mean L1 distance, weighted 1 for the last, 2^-2 ... 2^-n before."""
    features.apply(lambda value: value.to(gen_img.device))
    gen_maps = features.maps(gen_img)
    with torch.no_grad():
        real_maps = features.maps(real_img)
    total = gen_img.new_zeros(())
    for left, (gen, real) in enumerate(zip(gen_maps[::-1], real_maps[::-1], strict=True)):
        weight = 2.0 ** -(left + 1) if left else 1.0
        total = total + weight * (gen.float() - real.float()).abs().mean()
    return total


class MatchingOptions(LeastSquaresWeights):
    """Weights of the terms, and the extractor of the perceptual loss."""

    feature_weight: float = Field(
        10.0, ge=0, description="Distance of the discriminators' features, mean L1; 0: none."
    )
    perceptual: ComponentChoice | None = Field(
        None, description="Feature extractor with maps for the perceptual loss. Default: none."
    )
    perceptual_weight: float = Field(
        10.0, gt=0, description="Distance of the extractor's features, mean L1."
    )


class PerceptualLoss:
    """The perceptual loss that `model.perceptual` chooses; without a choice it has no terms."""

    def __init__(self, options: MatchingOptions) -> None:
        self._weight = options.perceptual_weight
        self._features: FrozenFeatures | None = None
        if options.perceptual is not None:
            self._features = FrozenFeatures(options.perceptual, "model.perceptual")

    @property
    def seen_features(self) -> tuple[str, ...]:
        """The extractor, as `Architecture.seen_features` names it."""
        return () if self._features is None else (self._features.name,)

    def check(self, spec: ImageSpec) -> None:
        """Refuse images that the extractor cannot read, and load it.

        Raises:
            GanforgeError: there is no such extractor, it does not take these images, or its
                weights cannot be had.
        """
        if self._features is None:
            return
        if spec.channels not in (1, 3):
            raise ConfigError(
                f"model.perceptual: '{self._features.name}' reads gray or color images, but the "
                f"target has {spec.channels} channels. Set data.channels: 3, or remove it."
            )
        self._features.map_shapes(spec.height, spec.width)
        _ = self._features.extractor

    def terms(self, gen_img: Tensor, real_img: Tensor, name: str = "perceptual") -> Terms:
        """The weighted distance of images [N, C, H, W], as the term `name`."""
        if self._features is None:
            return {}
        return {name: self._weight * perceptual_distance(self._features, gen_img, real_img)}


def multi_scale_generator_terms(
    objective: Objective,
    options: MatchingOptions,
    discriminator: nn.Module,
    gen: Tensor,
    real: Tensor,
    part: str = "",
) -> Terms:
    """A generator's terms against one discriminator: adversarial at each scale, and its features.

    Args:
        objective: gives the adversarial loss.
        options: weights of the terms.
        discriminator: pairs -> `Maps`.
        gen: pairs with generated images.
        real: pairs with real images.
        part: in the names of the terms, where there are several discriminators.
    """
    gen_maps: Maps = discriminator(gen)
    with torch.no_grad():  # discriminators do not train in this phase
        real_maps: Maps = discriminator(real)
    terms: Terms = {}
    for scale, (gen_scale, real_scale) in enumerate(zip(gen_maps, real_maps, strict=True)):
        logits = functools.partial(_last, real_scale)
        found = objective.generator(gen_scale[-1], logits, part=_named(part, f"scale{scale}"))
        terms |= weighted(found, options.adversarial_weight)
    if options.feature_weight:
        name = f"features_{part}" if part else "features"
        terms[name] = options.feature_weight * feature_distance(gen_maps, real_maps)
    return terms


def multi_scale_discriminator_terms(
    objective: Objective, options: MatchingOptions, batch: Batch, maps: Maps, part: str = ""
) -> Terms:
    """A discriminator's terms at each scale, from its maps of real and then generated images."""
    terms: Terms = {}
    for scale, (*_, logits) in enumerate(maps):
        name = _named(part, f"scale{scale}")
        found = objective.discriminator(batch, *logits.chunk(2), part=name)
        terms |= weighted(found, options.discriminator_weight)
    return terms


def all_logits(maps: Maps) -> Tensor:
    """The logits of all scales, [N, number of logits], for penalties."""
    return torch.cat([logits.flatten(1) for *_, logits in maps], dim=1)


def _named(part: str, scale: str) -> str:
    return f"{part}_{scale}" if part else scale


def _last(maps: Sequence[Tensor]) -> Tensor:
    return maps[-1]
