"""Latents between others: linear combinations, and paths along the sphere.

Shapes: K values to combine, N images, L style layers; a row is all numbers of one image.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

_NEARLY_PARALLEL = 1e-4
"""Sine below which two directions span no plane to turn in."""


def linear(values: Sequence[Tensor], weights: Tensor) -> Tensor:
    """The weighted sum of K tensors.

    Args:
        values: K tensors [N, ...]; with weights by layer [N, L, ...].
        weights: [K, N], or [K, N, L].

    Returns:
        [N, ...]. A row whose weights are a single one is that row, exactly.
    """
    return sum(
        (v * _like(weight.to(v.dtype), v) for v, weight in zip(values, weights, strict=True)),
        torch.zeros_like(values[0]),
    )


def spherical(start: Tensor, end: Tensor, t: Tensor) -> Tensor:
    """The point at `t` of the way from one row to another, turning at a constant speed.

    Halfway between two normal draws a straight line is too close to 0: its squared length is half
    of theirs, which the generator has never seen. Rows that are parallel, opposite or 0 span no
    plane to turn in; between them the way is straight.

    Args:
        start: [N, ...], at t = 0.
        end: [N, ...], at t = 1.
        t: [N].

    Source: White 2016, arXiv:1609.04468, Sec. 2.1.
    """
    t = _like(t.double(), start)
    rows = [value.double().flatten(1) for value in (start, end)]
    cosine = torch.cosine_similarity(rows[0], rows[1], dim=1).clamp(-1.0, 1.0)
    angle = _like(torch.acos(cosine), start)
    sine = angle.sin()
    is_zero = _like(torch.stack([row.norm(dim=1) for row in rows]).amin(0) == 0, start)
    is_straight = is_zero | (sine < _NEARLY_PARALLEL)
    safe = sine.clamp(min=_NEARLY_PARALLEL)
    first = torch.where(is_straight, 1.0 - t, ((1.0 - t) * angle).sin() / safe)
    second = torch.where(is_straight, t, (t * angle).sin() / safe)
    return (start * first + end * second).to(start.dtype)


def unit_variance(weights: Tensor) -> Tensor:
    """Weights [K, N] scaled so that a sum of independent normal draws stays standard normal."""
    return weights / weights.square().sum(0, keepdim=True).sqrt().clamp(min=1e-12)


def to_normal(uniform: Tensor) -> Tensor:
    """Standard normals, float64, from uniforms in [0, 1): the same quantile."""
    # Draws are multiples of 2^-24; half a step keeps 0 from becoming infinite.
    inner = uniform.double().clamp(2.0**-25, 1.0 - 2.0**-25)
    return torch.erfinv(2.0 * inner - 1.0) * math.sqrt(2.0)


def to_uniform(normal: Tensor) -> Tensor:
    """The inverse of `to_normal`: uniforms in [0, 1), float32."""
    uniform = (0.5 * (1.0 + torch.erf(normal / math.sqrt(2.0)))).float()
    return uniform.clamp(0.0, 1.0 - 2.0**-24)


def _like(weight: Tensor, value: Tensor) -> Tensor:
    """Weights [N] or [N, L] in the shape and on the device of values [N, L, ...]."""
    return weight.to(value.device).reshape(*weight.shape, *[1] * (value.ndim - weight.ndim))
