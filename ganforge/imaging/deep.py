"""Formats of more than 8 bits that Pillow silently cuts to 8: colors in PPM, and AVIF.

Sources: https://netpbm.sourceforge.net/doc/ppm.html; the AV1 codec box `av1C` in
https://aomediacodec.github.io/av1-isobmff/, section 2.3.
"""

import re

import numpy as np
from numpy.typing import NDArray

_PPM = re.compile(rb"P([36])" + rb"(?:\s|#[^\n]*\n)+(\d{1,6})" * 3 + rb"\s")
_HEAD_BYTES = 4096
_DEEP, _TWELVE = 0x40, 0x20


def read_ppm(data: bytes | memoryview, max_pixels: int) -> NDArray[np.uint16] | None:
    """The pixels [H, W, 3] of a PPM with more than 8 bits per channel; None for other files.

    The text of an error completes "The image ...".

    Raises:
        ValueError: it has too few values, or more than `max_pixels` pixels.
    """
    head = _PPM.match(bytes(data[:_HEAD_BYTES]))
    if head is None:
        return None
    width, height, white = map(int, head.groups()[1:])
    if not 255 < white < 65536:
        return None
    if not 0 < width * height <= max_pixels:
        raise ValueError(f"has {height} x {width} pixels, more than the limit of {max_pixels}")
    body, count = bytes(data[head.end() :]), 3 * width * height
    if head[1] == b"6":
        values = np.frombuffer(body, ">u2", min(count, len(body) // 2))
    else:
        try:
            values = np.array(body.split(maxsplit=count)[:count], dtype=np.uint16)
        except (ValueError, OverflowError) as err:
            raise ValueError(f"is a damaged PPM ({err})") from err
    if len(values) < count or values.max() > white:
        raise ValueError(f"is a damaged PPM ({len(values)} values of {count}, white is {white})")
    scaled = np.rint(values.astype(np.float64) * (65535 / white)).astype(np.uint16)
    return scaled.reshape(height, width, 3)


def avif_bits(data: bytes | memoryview) -> int:
    """The most bits per channel of an AVIF file, of its transparency too; 8 for other files."""
    if bytes(data[4:12]) not in (b"ftypavif", b"ftypavis"):
        return 8
    found = (bytes(data[i.end() : i.end() + 3]) for i in re.finditer(b"av1C", data))
    flags = [box[2] for box in found if len(box) == 3 and box[0] == 0x81]
    return max((8 + 2 * bool(f & _DEEP) + 2 * bool(f & _TWELVE) for f in flags), default=8)
