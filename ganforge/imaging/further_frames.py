"""Finds animations and files of several pages, of which only the first image is read."""

from ganforge.imaging.codec import (
    JPEG_SIGNATURE,
    NPY_SIGNATURE,
    PNG_SIGNATURE,
    Bytes,
    Undecodable,
    open_pillow,
)

_HEAD_BYTES = 1024
"""An animated PNG says so before its pixels."""


def has_more_frames(data: Bytes) -> bool:
    """Whether an image file holds frames or pages after the first one, which `decode_image` reads.

    The previews in a photo do not count.
    """
    is_still = data[:2] == JPEG_SIGNATURE or data[:6] == NPY_SIGNATURE
    if is_still or (data[:8] == PNG_SIGNATURE and b"acTL" not in bytes(data[:_HEAD_BYTES])):
        return False
    try:
        with open_pillow(data) as img:
            return bool(getattr(img, "is_animated", False))
    except Undecodable:  # an array, or damage, of which the decoder tells
        return False
