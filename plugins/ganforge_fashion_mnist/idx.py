"""Reads the IDX files of Fashion-MNIST.

Source: the file format of MNIST (LeCun et al. 1998): two zero bytes, a type byte (8 is uint8),
the number of dimensions, each dimension as big-endian uint32, then the values.
"""

import gzip
import struct
import zlib
from importlib.resources import files
from importlib.resources.abc import Traversable
from math import prod

import numpy as np
from numpy.typing import NDArray

from ganforge.api import DataError

IMAGES = "t10k-images-idx3-ubyte.gz"
LABELS = "t10k-labels-idx1-ubyte.gz"


def read_idx(file: Traversable) -> NDArray[np.uint8]:
    """The uint8 array in a gzipped IDX file.

    Raises:
        DataError: the file is missing, cut short, or not IDX of uint8.
    """
    remedy = "Reinstall ganforge, or copy the original Fashion-MNIST file there."
    try:
        raw = gzip.decompress(file.read_bytes())
    except (OSError, EOFError, zlib.error) as err:
        raise DataError(f"{file} cannot be read: {err}. {remedy}") from err
    if len(raw) < 4 or raw[:3] != b"\0\0\x08" or len(raw) < 4 + 4 * raw[3]:
        raise DataError(f"{file} begins with {raw[:4]!r}, which is not IDX of uint8. {remedy}")
    shape = struct.unpack_from(f">{raw[3]}I", raw, 4)
    body = raw[4 + 4 * raw[3] :]
    if len(body) != prod(shape):
        raise DataError(
            f"{file} declares {'x'.join(map(str, shape))} values and holds {len(body)}. {remedy}"
        )
    return np.frombuffer(body, dtype=np.uint8).reshape(shape)


def shipped_split() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The images [10000, 28, 28] and labels [10000] that come with this plugin."""
    folder = files(__package__) / "data"
    return read_idx(folder / IMAGES), read_idx(folder / LABELS)
