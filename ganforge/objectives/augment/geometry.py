"""Random affine maps of ADA as homogeneous matrices, one per image.

All matrices are inverses: they take an output position to the input position that it shows, in
pixels from the center. A factor whose draw changes nothing is exactly the identity, and so
is a product of such factors.

Source: Karras et al. 2020, arXiv:2006.06676, appendix B, figure 19 (pixel blitting and general
geometric transformations).
"""

import math

import torch
from torch import Tensor

_MAX_SHIFT = 0.125
_SCALE_OCTAVES = 0.2
_FRACTIONAL_SHIFT = 0.125


def gate(probability: Tensor, value: Tensor, neutral: float) -> Tensor:
    """`value` [N, ...] with the given probability, else `neutral`; one draw per image."""
    draw = torch.rand(value.shape[0], *[1] * (value.dim() - 1), device=value.device)
    return torch.where(draw < probability, value, neutral)


def blit(size: int, height: int, width: int, p: Tensor) -> Tensor:
    """Mirror, quarter turns and whole-pixel shifts of `size` images: [size, 3, 3] inverses.

    Height and width are in pixels; `p` is the probability of each transformation, a scalar.
    """
    flip = gate(p, integers(size, 2, p), 0.0)
    turns = gate(p, integers(size, 4, p), 0.0)
    x, y = symmetric(size, p), symmetric(size, p)
    shifts = torch.stack([(x * _MAX_SHIFT * width).round(), (y * _MAX_SHIFT * height).round()], 1)
    shift_x, shift_y = gate(p, shifts, 0.0).unbind(1)
    # Exact cosine and sine of quarter turns, so that whole pixels land on whole pixels.
    cosine = torch.where(turns % 2 == 0, 1.0 - turns, 0.0)
    sine = torch.where(turns % 2 == 1, 2.0 - turns, 0.0)
    return compose(
        scaling(1.0 - 2.0 * flip, torch.ones_like(flip)),
        rotation(cosine, -sine),
        translation(-shift_x, -shift_y),
    )


def geometric(size: int, height: int, width: int, p: Tensor) -> Tensor:
    """Scaling, rotation and fractional shifts of `size` images: [size, 3, 3] inverses.

    Height and width are in pixels; `p` is the probability of each transformation, a scalar.
    """
    # Two rotations, before and after stretching, make one with probability p together.
    p_turn = 1.0 - (1.0 - p).sqrt()
    isotropic = gate(p, torch.exp2(_SCALE_OCTAVES * normal(size, p)), 1.0)
    before = gate(p_turn, math.pi * symmetric(size, p), 0.0)
    stretch = gate(p, torch.exp2(_SCALE_OCTAVES * normal(size, p)), 1.0)
    after = gate(p_turn, math.pi * symmetric(size, p), 0.0)
    x, y = _FRACTIONAL_SHIFT * width * normal(size, p), _FRACTIONAL_SHIFT * height * normal(size, p)
    shift_x, shift_y = gate(p, torch.stack([x, y], 1), 0.0).unbind(1)
    return compose(
        scaling(1.0 / isotropic, 1.0 / isotropic),
        rotation(before.cos(), -before.sin()),
        scaling(1.0 / stretch, stretch),
        rotation(after.cos(), -after.sin()),
        translation(-shift_x, -shift_y),
    )


def compose(first: Tensor, *others: Tensor) -> Tensor:
    """Product of [N, 3, 3] matrices, the last of which is applied to a position first."""
    for other in others:
        # Not a matmul: with TF32 that keeps 11 bits, half a pixel at 1024.
        first = (first[:, :, :, None] * other[:, None]).sum(2)
    return first


def translation(x: Tensor, y: Tensor) -> Tensor:
    """Shift by (x, y), each [N]: [N, 3, 3]."""
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    return _matrix(one, zero, x, zero, one, y)


def scaling(x: Tensor, y: Tensor) -> Tensor:
    """Scale the axes by x and y, each [N]: [N, 3, 3]."""
    zero = torch.zeros_like(x)
    return _matrix(x, zero, zero, zero, y, zero)


def rotation(cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotate by an angle given as its cosine and sine, each [N]: [N, 3, 3]."""
    zero = torch.zeros_like(cosine)
    return _matrix(cosine, -sine, zero, sine, cosine, zero)


def _matrix(*entries: Tensor) -> Tensor:
    zero, one = torch.zeros_like(entries[0]), torch.ones_like(entries[0])
    return torch.stack([*entries, zero, zero, one], dim=1).reshape(-1, 3, 3)


def normal(size: int, like: Tensor) -> Tensor:
    """Standard normal: [size]."""
    return torch.randn(size, device=like.device, dtype=like.dtype)


def symmetric(size: int, like: Tensor) -> Tensor:
    """Uniform in [-1, 1): [size]."""
    return 2.0 * torch.rand(size, device=like.device, dtype=like.dtype) - 1.0


def integers(size: int, count: int, like: Tensor) -> Tensor:
    """Uniform among 0, 1, ..., count - 1: [size]."""
    return torch.randint(count, (size,), device=like.device).to(like.dtype)
