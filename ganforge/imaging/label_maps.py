"""Integer label maps: ids that are never interpolated, from gray and palette images and arrays."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ganforge.imaging.codec import (
    JPEG_SIGNATURE,
    PNG_SIGNATURE,
    Bytes,
    Pixels,
    Undecodable,
    decode_png16,
    open_pillow,
    png_header,
    read_array,
    read_image_file,
)
from ganforge.imaging.orientation import upright

MAX_ID = 65535
_ID_MODES = ("1", "L", "P", "I", "I;16", "I;16B", "I;16L")
"""Modes of PIL whose values are ids; of a palette image, the numbers of its colors."""


def decode_labels(value: Bytes | Path | Image.Image | NDArray[Any]) -> Pixels:
    """A label map [H, W, 1], uint8 or uint16, of a file, a PIL image or an array.

    A 16-bit file stays 16-bit; arrays are made as small as their ids allow.

    Raises:
        Undecodable: it is damaged, a color image or a JPEG, or holds ids outside 0 to 65535.
    """
    if isinstance(value, np.ndarray):
        return _from_array(value)
    if isinstance(value, Image.Image):
        return _from_pillow(value)
    data = read_image_file(value) if isinstance(value, Path) else value
    values = read_array(data)
    if values is not None:
        return _from_array(values)
    if data[:2] == JPEG_SIGNATURE:
        raise Undecodable("is a JPEG, which changes ids; save label maps as PNG")
    if data[:8] == PNG_SIGNATURE:
        _, _, channels, depth, _ = png_header(data)
        if depth == 16:
            return _from_array(decode_png16(data))
        with open_pillow(data) as img:
            # PIL spreads the values of 2 and 4 bits over 0 to 255.
            step = 255 // (2**depth - 1) if channels == 1 and img.mode == "L" else 1
            return _from_pillow(img) // np.uint8(step)
    with open_pillow(data) as img:
        return _from_pillow(img)


def _from_pillow(img: Image.Image) -> Pixels:
    if img.mode not in _ID_MODES:
        raise Undecodable(
            f"is an image of mode {img.mode}, not a map of ids. Replace each color by its id, and "
            f"save the ids as a gray or palette PNG"
        )
    return _from_array(np.asarray(upright(img)))


def _from_array(values: NDArray[Any]) -> Pixels:
    ids = values[..., None] if values.ndim == 2 else values
    if ids.ndim != 3 or ids.shape[2] != 1 or not ids.size:
        raise Undecodable(
            f"has the shape {list(values.shape)}; a label map is [H, W], an id for each pixel"
        )
    if ids.dtype.kind not in "biu":
        raise Undecodable(f"holds {ids.dtype} values, not integer ids; convert it")
    if ids.dtype in (np.uint8, np.uint16):
        return ids
    low, high = int(ids.min()), int(ids.max())
    if low < 0 or high > MAX_ID:
        raise Undecodable(f"holds ids from {low} to {high}; use 0 to {MAX_ID}")
    return ids.astype(np.uint8 if high < 256 else np.uint16)
