"""Random color maps of ADA as affine maps of RGB, one per image.

Source: Karras et al. 2020, arXiv:2006.06676, appendix B, figure 20 (color transformations).
"""

import math

import torch
from torch import Tensor

from ganforge.objectives.augment.geometry import gate, integers, normal, symmetric

_BRIGHTNESS = 0.2
_CONTRAST_OCTAVES = 0.5
_SATURATION_OCTAVES = 1.0


def color_matrix(size: int, p: Tensor) -> Tensor:
    """Brightness, contrast, luma flip, hue and saturation of `size` images: [size, 3, 4].

    These are affine maps of colors in [-1, 1], and keep gray gray. `p` is the probability of
    each transformation, a scalar.
    """
    brightness = gate(p, _BRIGHTNESS * normal(size, p), 0.0)
    contrast = gate(p, torch.exp2(_CONTRAST_OCTAVES * normal(size, p)), 1.0)
    flip = gate(p, integers(size, 2, p), 0.0)
    hue = gate(p, math.pi * symmetric(size, p), 0.0)
    saturation = gate(p, torch.exp2(_SATURATION_OCTAVES * normal(size, p)), 1.0)
    # About the gray axis all of these commute: luma is scaled by one number, and chroma, the
    # plane across, is turned by the hue and scaled by another.
    luma = contrast * (1.0 - 2.0 * flip)
    linear = _luma_chroma(luma, contrast * saturation, hue)
    shift = (luma * brightness)[:, None, None].expand(-1, 3, 1)
    return torch.cat([linear, shift], dim=2)


def _luma_chroma(luma: Tensor, chroma: Tensor, angle: Tensor) -> Tensor:
    """[N, 3, 3]: scale the gray axis by `luma`; turn the rest by `angle`, scale it by `chroma`."""
    # Rodrigues' formula about (1, 1, 1) / sqrt(3); every matrix here is circulant, so three
    # numbers per image say it all.
    axis, cosine = luma / 3.0, chroma * angle.cos() / 3.0
    sine = chroma * angle.sin() / math.sqrt(3.0)
    same = axis + 2.0 * cosine
    before, after = axis - cosine - sine, axis - cosine + sine
    rows = (same, before, after, after, same, before, before, after, same)
    return torch.stack(rows, dim=1).reshape(-1, 3, 3)


def apply_color(img: Tensor, matrix: Tensor) -> Tensor:
    """Apply color maps [N, 3, 4] to gray, RGB or RGBA images [N, C, H, W]; alpha stays as it is."""
    if img.shape[1] == 1:  # gray g is the color (g, g, g), and stays on that axis
        scale = matrix[:, :1, :3].sum(2, keepdim=True)[..., None]
        return img * scale + matrix[:, :1, 3:, None]
    rgb = torch.baddbmm(matrix[:, :, 3:], matrix[:, :, :3], img[:, :3].flatten(2))
    rgb = rgb.reshape(img.shape[0], 3, *img.shape[2:])
    return torch.cat([rgb, img[:, 3:]], dim=1)
