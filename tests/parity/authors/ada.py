"""ADA's augmentation pipe: the matrices that it draws."""

import sys

import torch
from parity import augmentation
from parity.authors.common import stub_nvlabs

_NUM_BLIT, _NUM_GEOMETRIC = 3, 5
_INVERSES = ("translate2d_inv", "scale2d_inv", "rotate2d_inv")


class _DrawnError(Exception):
    """Everything is drawn; the images need not be made."""


def _product(matrices):
    first, *others = [m.expand(augmentation.SAMPLES, 3, 3) for m in matrices]
    for other in others:
        first = first @ other
    return first


def _geometry(augment, strength):
    """Inverses of blitting and of geometry, as the pipe multiplies them."""
    flags = ("xflip", "rotate90", "xint", "scale", "rotate", "aniso", "xfrac")
    pipe = augment.AugmentPipe(**dict.fromkeys(flags, 1))
    pipe.p.fill_(strength)
    drawn = []
    for name in _INVERSES:
        make = getattr(augment, name)
        setattr(
            augment, name, lambda *a, _make=make, **k: drawn.append(_make(*a, **k)) or drawn[-1]
        )

    def stop(*args, **options):
        raise _DrawnError

    pad, torch.nn.functional.pad = torch.nn.functional.pad, stop
    side = augmentation.SIDE
    try:
        pipe(torch.zeros(1, 3, side, side).expand(augmentation.SAMPLES, -1, -1, -1))
    except _DrawnError:
        pass
    finally:
        torch.nn.functional.pad = pad
    assert len(drawn) == _NUM_BLIT + _NUM_GEOMETRIC
    return _product(drawn[:_NUM_BLIT]), _product(drawn[_NUM_BLIT:])


def _colors(augment, strength):
    """Affine maps of RGB [N, 3, 4], read from what happens to black, red, green and blue."""
    flags = ("brightness", "contrast", "lumaflip", "hue", "saturation")
    pipe = augment.AugmentPipe(**dict.fromkeys(flags, 1))
    pipe.p.fill_(strength)
    pixels = torch.cat([torch.zeros(3, 1), torch.eye(3)], dim=1).reshape(3, 2, 2)
    out = pipe(pixels.repeat(augmentation.SAMPLES, 1, 1, 1)).flatten(2)
    return torch.cat([out[:, :, 1:] - out[:, :, :1], out[:, :, :1]], dim=2)


def ada(folder):
    """Statistics by strength and group, of NVlabs/stylegan3's `AugmentPipe`. Needs scipy."""
    sys.path.insert(0, str(folder))
    stub_nvlabs()
    from training import augment

    originals = {name: getattr(augment, name) for name in _INVERSES}
    found = {}
    for strength in augmentation.STRENGTHS:
        torch.manual_seed(0)
        for name, function in originals.items():
            setattr(augment, name, function)
        blit, geometric = _geometry(augment, strength)
        groups = {
            "blit": augmentation.blit(blit),
            "geometric": augmentation.geometric(geometric),
            "color": augmentation.color(_colors(augment, strength)),
        }
        found[str(strength)] = {
            group: {name: round(value, 5) for name, value in values.items()}
            for group, values in groups.items()
        }
    return found
