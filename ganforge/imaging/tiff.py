"""TIFF files that PIL cannot read: floats, 16-bit color, many channels. Needs `tifffile`."""

import importlib
import io
import math
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import TiffImagePlugin

from ganforge.imaging.codec import MAX_CHANNELS, MAX_PIXELS, Bytes, Undecodable
from ganforge.imaging.orientation import TAG, upright_array

_BITS, _SAMPLES, _EXTRA_SAMPLES, _FORMAT = 258, 277, 338, 339
_PHOTOMETRIC = 262
_WHITE_IS_ZERO, _GRAY_OR_RGB = 0, (1, 2)
_UNSPECIFIED = 0
_SIGNED, _FLOAT = 2, 3
_BIG = 43


def read_tiff(data: Bytes) -> NDArray[Any] | None:
    """The first page as an array [H, W] or [H, W, C]; None for what PIL reads as well.

    Raises:
        Undecodable: it is damaged, of an unknown compression, or `tifffile` is not installed.
    """
    if _is_for_pillow(data):
        return None
    try:
        tifffile: Any = importlib.import_module("tifffile")
    except ImportError as err:
        raise Undecodable(
            "is a TIFF of floats, of 16-bit color or of many channels, which the package tifffile "
            "reads: pip install 'ganforge[tiff]'"
        ) from err
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page = file.pages[0]
            if page.size > MAX_PIXELS * MAX_CHANNELS:
                raise Undecodable(f"is an array of shape {list(page.shape)}, which is too large")
            # tifffile fills the strips that are missing with zeros.
            if len(page.dataoffsets) != math.prod(page.chunked):
                raise Undecodable("is a damaged TIFF (strips or tiles of pixels are missing)")
            _refuse_other_colors(page)
            values: NDArray[Any] = page.asarray()
            if page.photometric == _WHITE_IS_ZERO:
                values = np.invert(values)
            # Channels may be stored one after the other: their axis, S, comes first.
            values = np.moveaxis(values, 0, -1) if page.axes == "SYX" else values
            return upright_array(values, page.tags.valueof(TAG))
    except Undecodable:
        raise
    except Exception as err:  # damage raises almost any type
        raise Undecodable(f"cannot be decoded ({str(err) or type(err).__name__})") from err


def _refuse_other_colors(page: Any) -> None:
    """Refuse what would be taken for gray or RGB: inks, Lab, palettes of 16 bits, white floats."""
    is_inverted = page.photometric == _WHITE_IS_ZERO and page.dtype.kind in "biu"
    if page.photometric not in _GRAY_OR_RGB and not is_inverted:
        colors = getattr(page.photometric, "name", page.photometric)
        raise Undecodable(
            f"is a TIFF of {colors} colors with {page.bitspersample} bits; convert it to RGB"
        )


def _is_for_pillow(data: Bytes) -> bool:
    """Whether PIL reads the first page without a loss. It also reports damage to the header."""
    stream = io.BytesIO(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of truncated files, which are refused soon enough
            size = 16 if _BIG in data[2:4] else 8
            tags = TiffImagePlugin.ImageFileDirectory_v2(stream.read(size))
            stream.seek(tags.next)
            tags.load(stream)
        bits, samples = max(tags.get(_BITS, (1,))), tags.get(_SAMPLES, 1)
        formats = tags.get(_FORMAT, ())
        is_signed, is_float = _SIGNED in formats, _FLOAT in formats
        if samples == 1:
            # PIL does not invert 16 bits, and takes signed bytes for unsigned, and unsigned 32 bits
            # for signed.
            is_inverted = tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
            if bits <= 8:
                return not is_signed
            return (
                is_signed or is_float if bits == 32 else bits == 16 and not is_float | is_inverted
            )
        return bool(bits <= 8 and _UNSPECIFIED not in tags.get(_EXTRA_SAMPLES, ()))
    except Exception:  # noqa: BLE001  # damage raises almost any type
        return True
