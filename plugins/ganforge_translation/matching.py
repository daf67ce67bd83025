"""What pix2pixHD compares generated and real images by: features, under one augmentation.

Source: Wang et al. 2018, arXiv:1711.11585, sections 3.2 and 3.3, with the weights of the authors'
code.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from ganforge.api import FrozenFeatures, Objective

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
