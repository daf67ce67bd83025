"""Requests for latents between seeds: interpolations, mixed styles, sums.

Each is made from the request of its keyframes, whose conditions are combined like their latents.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ganforge.interfaces.conditions import CONDITIONS
from ganforge.interfaces.generation import Blend, GenerateRequest


def interpolation(
    keyframes: GenerateRequest, steps: int, loop: bool, space: str, is_spherical: bool
) -> GenerateRequest:
    """A request for the frames from each keyframe to the next, and the last keyframe.

    Args:
        keyframes: two or more.
        steps: frames from one keyframe to the next.
        loop: return to the first keyframe instead of ending at the last.
        space: latent space in which to interpolate.
        is_spherical: interpolate along the sphere, not linearly.
    """
    num = keyframes.size
    starts = [start for start in range(num if loop else num - 1) for _ in range(steps)]
    ends = [(start + 1) % num for start in starts]
    t = (torch.arange(len(starts)) % steps) / steps
    if not loop:
        starts, ends, t = [*starts, num - 2], [*ends, num - 1], torch.cat([t, torch.ones(1)])
    return blended_request(
        keyframes, [starts, ends], torch.stack([1.0 - t, t]), space, is_spherical
    )


def mixed_styles(
    keyframes: GenerateRequest, num_rows: int, fine: slice, num_layers: int, space: str
) -> GenerateRequest:
    """A request for each pair of a row's keyframe and a column's, row by row.

    Args:
        keyframes: those of the rows, then those of the columns.
        num_rows: number of rows.
        fine: layers that take the style of the column; the others take that of the row.
        num_layers: layers of the generator.
        space: latent space of the styles.
    """
    pairs = [(r, c) for r in range(num_rows) for c in range(num_rows, keyframes.size)]
    weights = torch.zeros(len(pairs), num_layers)
    weights[:, fine] = 1.0
    rows = [[r for r, _ in pairs], [c for _, c in pairs]]
    return blended_request(keyframes, rows, torch.stack([1.0 - weights, weights]), space)


def means_and_sum(
    keyframes: GenerateRequest, terms: Sequence[tuple[float, Sequence[int]]], space: str
) -> GenerateRequest:
    """A request for the mean of each term's keyframes and, last, the sum of all terms.

    Args:
        keyframes: the seeds of all terms, in order.
        terms: factor and seeds of each term.
        space: latent space of the means and the sum.
    """
    weights = torch.zeros(keyframes.size, len(terms) + 1)
    start = 0
    for index, (factor, seeds) in enumerate(terms):
        part = slice(start, start + len(seeds))
        weights[part, index] = 1.0 / len(seeds)
        weights[part, -1] = factor / len(seeds)
        start += len(seeds)
    rows = [[row] * (len(terms) + 1) for row in range(keyframes.size)]
    return blended_request(keyframes, rows, weights, space)


def blended_request(
    keyframes: GenerateRequest,
    rows: Sequence[Sequence[int]],
    weights: Tensor,
    space: str,
    is_spherical: bool = False,
) -> GenerateRequest:
    """N images, each a combination of K keyframes: K times N rows, weights [K, N(, layers)]."""
    blend = Blend(tuple(keyframes.take(part) for part in rows), weights, space, is_spherical)
    conditions: dict[str, Any] = {
        name: blend.mean([getattr(part, name) for part in blend.parts])
        for name in CONDITIONS
        if getattr(keyframes, name) is not None
    }
    return replace(blend.parts[0], blend=blend, **conditions)
