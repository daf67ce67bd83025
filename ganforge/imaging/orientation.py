"""Turns images upright, as the orientation in their EXIF data says."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

TAG = 0x0112
"""Number of the orientation among the tags of EXIF and TIFF."""
UPRIGHT = 1
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns an image of each orientation upright."""
_FLIPPED_AXES = {2: (1,), 3: (0, 1), 4: (0,), 5: (), 6: (1,), 7: (0, 1), 8: (0,)}
"""The same for an array, whose sides are swapped first from 5 on."""


def orientation_of(img: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1, which is upright, where none can be read."""
    try:
        value = int(img.getexif().get(TAG, UPRIGHT))
    except Exception:  # noqa: BLE001  # damaged EXIF data do not spoil the pixels
        return UPRIGHT
    return value if value in _TURNS else UPRIGHT


def upright(img: Image.Image) -> Image.Image:
    """The image, turned as its EXIF orientation says.

    Not by `PIL.ImageOps.exif_transpose`, which writes the EXIF data again and fails on odd ones.
    """
    # Pillow turns a TIFF while it loads it, and then forgets the orientation.
    img.load()
    turn = _TURNS.get(orientation_of(img))
    return img if turn is None else img.transpose(turn)


def upright_array(pixels: NDArray[Any], orientation: object) -> NDArray[Any]:
    """Pixels [H, W] or [H, W, C], turned as an orientation says; an unknown one is ignored."""
    if not isinstance(orientation, int) or orientation not in _FLIPPED_AXES:
        return pixels
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    return np.ascontiguousarray(np.flip(pixels, _FLIPPED_AXES[orientation]))
