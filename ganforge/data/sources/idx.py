"""IDX files, as of MNIST, gzipped or not."""

import gzip
import math
import struct
import zlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ganforge.config.models import StrictModel
from ganforge.data.sources.image_files import looked_in
from ganforge.data.sources.paths import UserPath
from ganforge.errors import DataError
from ganforge.interfaces.source import Sample, Source

MAX_BYTES = 2**32
"""Larger files are refused, packed ones before they are unpacked."""
_GZIP = b"\x1f\x8b"
_UNSIGNED_BYTE = 0x08
_MAX_DIMENSIONS = 4


def read_idx(path: Path) -> NDArray[np.uint8]:
    """The array of an IDX file of unsigned bytes.

    Raises:
        DataError: it is missing, damaged, or holds something else.

    Source: LeCun et al., "The MNIST database", file format section.
    """
    try:
        data = _unpacked(path)
    except FileNotFoundError as err:
        raise DataError(
            f"IDX file {path} cannot be read: it does not exist{looked_in(path)}. Correct the path."
        ) from err
    except (OSError, EOFError, zlib.error, MemoryError) as err:
        raise DataError(f"IDX file {path} cannot be read ({err}). Fetch it again.") from err
    if len(data) > MAX_BYTES:
        raise DataError(
            f"IDX file {path} holds more than the limit of {MAX_BYTES} bytes (it may be a "
            f"decompression bomb). Use files like train-images-idx3-ubyte.gz."
        )
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] != _UNSIGNED_BYTE:
        raise DataError(
            f"{path} is not an IDX file of unsigned bytes (it begins {data[:4]!r}). Use files like "
            f"train-images-idx3-ubyte.gz."
        )
    begin = 4 + 4 * data[3]
    if len(data) < begin:
        raise DataError(f"IDX file {path} is cut short after {len(data)} bytes. Fetch it again.")
    shape = struct.unpack(f">{data[3]}I", data[4:begin])
    expected = math.prod(shape)
    if len(data) - begin != expected:
        raise DataError(
            f"IDX file {path} has {len(data) - begin} values, its header says {expected} "
            f"({' x '.join(map(str, shape))}). Fetch it again."
        )
    if not expected or len(shape) > _MAX_DIMENSIONS:
        raise DataError(
            f"IDX file {path} has no values, or too many dimensions "
            f"({' x '.join(map(str, shape[:8]))}). Use files like train-images-idx3-ubyte.gz."
        )
    return np.frombuffer(data, dtype=np.uint8, offset=begin).reshape(shape)


def _unpacked(path: Path) -> bytes:
    """The content of a file, gzipped or not; of a decompression bomb as much as is too much."""
    with path.open("rb") as file:
        is_packed = file.read(2) == _GZIP
    with gzip.open(path) if is_packed else path.open("rb") as stream:
        return stream.read(MAX_BYTES + 1)


class IdxConfig(StrictModel):
    """Options of the `idx` source."""

    images: UserPath = Field(description="File of images, e.g. train-images-idx3-ubyte.gz.")
    labels: UserPath | None = Field(
        None, description="File of labels, e.g. train-labels-idx1-ubyte.gz."
    )
    class_names: tuple[str, ...] = Field((), description="Default: the numbers.")


class IdxSource(Source[IdxConfig]):
    """Gray images, and labels, in IDX files."""

    name, Config = "idx", IdxConfig

    @cached_property
    def _images(self) -> NDArray[np.uint8]:
        images = read_idx(Path(self.config.images))
        if images.ndim not in (3, 4):
            raise DataError(
                f"images={self.config.images!r} has {images.ndim} dimensions, not 3 (number, "
                f"height, width). Are images and labels exchanged?"
            )
        return images

    @cached_property
    def _labels(self) -> NDArray[np.uint8] | None:
        if self.config.labels is None:
            return None
        labels = read_idx(Path(self.config.labels))
        if labels.shape != self._images.shape[:1]:
            raise DataError(
                f"labels={self.config.labels!r} has shape {list(labels.shape)}, but there are "
                f"{len(self._images)} images in {self.config.images!r}. Use files of one split."
            )
        return labels

    def class_names(self) -> Sequence[str]:
        """The names given, or the numbers."""
        if self._labels is None:
            return ()
        return self.config.class_names or [str(n) for n in range(int(self._labels.max()) + 1)]

    def samples(self, stream: str = "main") -> Iterator[Sample]:
        """Fields image and, with a label file, label."""
        for number, image in enumerate(self._images):
            fields: dict[str, Any] = {"image": image}
            if self._labels is not None:
                fields["label"] = int(self._labels[number])
            yield Sample(f"{number:07d}", fields)

    def num_samples(self) -> int:
        """Images in the file."""
        return len(self._images)
