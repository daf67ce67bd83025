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
    """A request for `steps` frames from each keyframe to the next, and the last keyframe.

    There are two keyframes or more. A loop returns to the first instead of ending at the last.
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

    The keyframes of the rows come first. The `fine` of the generator's `num_layers` layers take
    the style of the column, the others that of the row.
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

    A term is a factor and its seeds; the keyframes are the seeds of all terms, in order.
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
