"""Arithmetic of latents: linear combination and spherical interpolation.

Shapes: K values to combine, N images, L style layers; a row holds all numbers of one image.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

_NEARLY_PARALLEL = 1e-4
"""Sine of the angle below which two directions count as parallel."""


def linear(values: Sequence[Tensor], weights: Tensor) -> Tensor:
    """The weighted sum of K tensors [N, ...] by weights [K, N], or [N, L, ...] by [K, N, L].

    It is exact for one-hot weights.
    """
    return sum(
        (v * _like(weight.to(v.dtype), v) for v, weight in zip(values, weights, strict=True)),
        torch.zeros_like(values[0]),
    )


def spherical(start: Tensor, end: Tensor, t: Tensor) -> Tensor:
    """Spherical linear interpolation (slerp) from start [N, ...], at t [N] = 0, to end, at t = 1.

    Halfway between two normal draws, linear interpolation halves the squared norm, to a value that
    the generator has not seen. Rows that are parallel, opposite or 0 are interpolated linearly,
    because no angle is defined.

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
    """Scale weights [K, N] so that a sum of independent normal draws has unit variance."""
    return weights / weights.square().sum(0, keepdim=True).sqrt().clamp(min=1e-12)


def to_normal(uniform: Tensor) -> Tensor:
    """Map uniforms in [0, 1) to standard normals, float64, of equal quantiles."""
    # Draws are multiples of 2^-24; half a step keeps 0 from becoming infinite.
    inner = uniform.double().clamp(2.0**-25, 1.0 - 2.0**-25)
    return torch.erfinv(2.0 * inner - 1.0) * math.sqrt(2.0)


def to_uniform(normal: Tensor) -> Tensor:
    """Map normals to uniforms in [0, 1), float32: the inverse of `to_normal`."""
    uniform = (0.5 * (1.0 + torch.erf(normal / math.sqrt(2.0)))).float()
    return uniform.clamp(0.0, 1.0 - 2.0**-24)


def _like(weight: Tensor, value: Tensor) -> Tensor:
    """Broadcast weights [N] or [N, L] to values [N, L, ...], on their device."""
    return weight.to(value.device).reshape(*weight.shape, *[1] * (value.ndim - weight.ndim))
