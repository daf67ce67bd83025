"""What pix2pixHD compares generated and real images by: features, under one augmentation.

Source: Wang et al. 2018, arXiv:1711.11585, sections 3.2 and 3.3, with the weights of the authors'
code.
"""

import functools
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from ganforge.api import Batch, FrozenFeatures, Objective, Terms
from ganforge_translation.family import weighted

_AUTHORS_LAYERS = 4
"""Maps that feature matching compares at each scale of the paper's discriminator."""


def instance_edges(ids: Tensor) -> Tensor:
    """[N, 1, H, W] ids -> bool: whether one of the four neighbors has another id."""
    edges = torch.zeros_like(ids, dtype=torch.bool)
    across, below = ids[..., 1:] != ids[..., :-1], ids[..., 1:, :] != ids[..., :-1, :]
    edges[..., 1:] |= across
    edges[..., :-1] |= across
    edges[..., 1:, :] |= below
    edges[..., :-1, :] |= below
    return edges


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


def feature_distance(gen: Sequence[Sequence[Tensor]], real: Sequence[Sequence[Tensor]]) -> Tensor:
    """Mean over the scales of the sum over four layers of the mean L1 distance.

    Args:
        gen: for each scale the maps of its layers, the logits last; those of generated images.
        real: the same of the real images, without gradient.
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


class Weights(Protocol):
    """The options of an architecture that weight its terms."""

    @property
    def adversarial_weight(self) -> float: ...  # noqa: D102
    @property
    def discriminator_weight(self) -> float: ...  # noqa: D102
    @property
    def feature_weight(self) -> float: ...  # noqa: D102


Maps = Sequence[Sequence[Tensor]]
"""For each scale of a discriminator the maps of its layers, the logits last."""


def fooling_terms(
    objective: Objective, weights: Weights, gen: Maps, real: Maps, part: str = ""
) -> Terms:
    """A generator's terms against one discriminator: adversarial at each scale, and its features.

    `part` is in the names of the terms where there are several discriminators.
    """
    terms: Terms = {}
    for scale, (gen_maps, real_maps) in enumerate(zip(gen, real, strict=True)):
        logits = functools.partial(_last, real_maps)
        found = objective.generator(gen_maps[-1], logits, part=_named(part, f"scale{scale}"))
        terms |= weighted(found, weights.adversarial_weight)
    if weights.feature_weight:
        name = f"features_{part}" if part else "features"
        terms[name] = weights.feature_weight * feature_distance(gen, real)
    return terms


def telling_terms(
    objective: Objective, weights: Weights, batch: Batch, maps: Maps, part: str = ""
) -> Terms:
    """A discriminator's terms at each scale, from its maps of real and then generated images."""
    terms: Terms = {}
    for scale, (*_, logits) in enumerate(maps):
        name = _named(part, f"scale{scale}")
        found = objective.discriminator(batch, *logits.chunk(2), part=name)
        terms |= weighted(found, weights.discriminator_weight)
    return terms


def _named(part: str, scale: str) -> str:
    return f"{part}_{scale}" if part else scale


def _last(maps: Sequence[Tensor]) -> Tensor:
    return maps[-1]
