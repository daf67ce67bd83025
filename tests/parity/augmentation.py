"""How often and how far ADA's transformations move an image, read from their matrices alone."""

import math

import torch

SAMPLES = 100_000
SIDE = 64
STRENGTHS = (0.2, 0.5)
# Above what rounding leaves of a neutral value, far below what a drawn one is likely to be.
_SMALL = 3e-3


def _share(mask):
    return mask.double().mean().item()


def _std(values):
    return values.double().square().mean().sqrt().item()


def blit(matrix):
    """Of inverses [N, 3, 3] of flips, quarter turns and whole-pixel shifts."""
    linear = matrix[:, :2, :2]
    flipped = torch.det(linear) < 0
    turn = linear.clone()
    turn[:, 0] *= torch.where(flipped, -1.0, 1.0)[:, None]
    quarters = (torch.atan2(turn[:, 1, 0], turn[:, 0, 0]) / (math.pi / 2)).round().long() % 4
    found = {"share flipped": _share(flipped)}
    found |= {f"share turned by {n} quarters": _share(quarters == n) for n in (1, 2, 3)}
    shift = _shift(matrix)
    return found | _shifts(shift) | {"farthest shift": shift.abs().max().item()}


def _shift(matrix):
    """Shifts [N, 2] in parts of the side."""
    moved = torch.linalg.solve(matrix[:, :2, :2], matrix[:, :2, 2:])[:, :, 0]
    return -moved / SIDE


def _shifts(shift):
    moved = shift.abs() > 1e-4
    return {
        "share shifted": _share(moved.any(1)),
        "share shifted along both axes": _share(moved.all(1)),
        "size of shift x": _std(shift[:, 0]),
        "size of shift y": _std(shift[:, 1]),
    }


def geometric(matrix):
    """Of inverses [N, 3, 3] of scaling, rotation, stretching, rotation and fractional shifts."""
    linear = matrix[:, :2, :2].double()
    det, energy = torch.det(linear), linear.square().sum((1, 2))
    scale = det.sqrt().log2()
    gap = (energy.square() - 4 * det.square()).clamp(min=0).sqrt()
    stretch = ((energy + gap) / (2 * det)).log2() / 2
    stretched = stretch > _SMALL
    # The turns before and after a clear stretch show in the axes of A A' and A' A.
    clear = stretch > 0.03
    turns = {
        name: 2 * (square[:, 0, 1] / gap)[clear].abs()
        for name, square in (
            ("before", linear @ linear.mT),
            ("after", linear.mT @ linear),
        )
    }
    angle = torch.atan2(linear[:, 1, 0] - linear[:, 0, 1], linear[:, 0, 0] + linear[:, 1, 1])
    alone = angle[~stretched]
    return {
        "share scaled": _share(scale.abs() > 1e-4),
        "size of scaling in octaves": _std(scale),
        "share stretched": _share(stretched),
        "size of stretching in octaves": _std(stretch),
        **{f"share turned {name} a stretch": _share(t > 0.01) for name, t in turns.items()},
        "share turned": _share(alone.abs() > _SMALL),
        "size of turn": _std(alone),
        "farthest turn": alone.abs().max().item(),
        **_shifts(_shift(matrix.double())),
    }


def color(matrix):
    """Of affine maps of RGB [N, 3, 4]."""
    matrix = matrix.double()
    luma = matrix[:, :, :3].sum(2).mean(1)
    brightness = matrix[:, :, 3].mean(1) / luma
    contrast = luma.abs().log2()
    cosine = (matrix[:, 0, 0] - luma / 3) * 1.5
    sine = (matrix[:, 0, 2] - matrix[:, 0, 1]) * math.sqrt(3) / 2
    hue = torch.atan2(sine, cosine)
    saturation = torch.hypot(sine, cosine).log2() - contrast
    return {
        "share brightened": _share(brightness.abs() > _SMALL),
        "size of brightness": _std(brightness),
        "share of other contrast": _share(contrast.abs() > _SMALL),
        "size of contrast in octaves": _std(contrast),
        "share of luma flips": _share(luma < 0),
        "share of other hue": _share(hue.abs() > _SMALL),
        "size of hue": _std(hue),
        "farthest hue": hue.abs().max().item(),
        "share of other saturation": _share(saturation.abs() > _SMALL),
        "size of saturation in octaves": _std(saturation),
    }
