"""From stored bytes to batch tensors, one reader per kind of field.

Legend: n samples in a slot, T frames, H, W, C. Images are decoded straight into an array
[n, H, W, C], which leaves as a [n, C, H, W] tensor in channels-last memory without a copy.
"""

import io
import json
import struct
from abc import abstractmethod
from typing import Any

import numpy as np
import simplejpeg
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ganforge.data.shards.clip import check_frame, read_table
from ganforge.data.shards.index import PIXEL_KINDS, FieldSchema
from ganforge.imaging.codec import (
    JPEG_SIGNATURE,
    PNG_SIGNATURE,
    Bytes,
    Undecodable,
    decode_png16,
    png_header,
)
from ganforge.imaging.images import MODES

WHITE_16 = 65535
"""White in int32 image tensors, whatever the bit depth of the data."""


class FieldReader:
    """Reads one field of the samples of a slot."""

    shape: tuple[int, ...] = ()
    dtype: type = np.float32

    def allocate(self, count: int) -> NDArray[Any]:
        """Storage for `count` values: [n, *shape]."""
        return np.empty((count, *self.shape), dtype=self.dtype)

    @abstractmethod
    def read(self, data: Bytes, values: NDArray[Any], place: int) -> None:
        """Decode one value.

        Raises:
            Undecodable: the bytes are damaged or not what the schema says.
        """

    def finish(self, values: NDArray[Any], flips: NDArray[np.bool_] | None) -> Tensor | list[str]:
        """The batch, with the images marked in `flips` mirrored: a tensor, or captions."""
        return torch.from_numpy(values)


class _ImageReader(FieldReader):
    """Images and frame sequences: [n, C, H, W] or [n, T, C, H, W], uint8 or int32."""

    def __init__(self, schema: FieldSchema) -> None:
        self.is_clip = schema.is_clip
        self.frame_shape = (schema.height, schema.width, schema.channels)
        self.shape = (schema.num_frames, *self.frame_shape) if self.is_clip else self.frame_shape
        # uint16 tensors lack most operations.
        self.dtype = np.uint8 if schema.bit_depth == 8 else np.int32
        self.bit_depth = schema.bit_depth
        self.max_value = schema.max_value if schema.bit_depth == 16 else 255
        self.colorspace = "GRAY" if schema.channels == 1 else "RGB"

    def read(self, data: Bytes, values: NDArray[Any], place: int) -> None:
        if not self.is_clip:
            self._read_frame(data, values[place])
            return
        table = read_table(data, len(data))
        if len(table) < len(values[place]):
            raise Undecodable(f"has {len(table)} frames, fewer than {len(values[place])}")
        for out, entry in zip(values[place], table, strict=False):
            frame = data[int(entry["offset"]) :][: int(entry["size"])]
            check_frame(frame, entry)
            self._read_frame(frame, out)

    def _read_frame(self, data: Bytes, out: NDArray[Any]) -> None:
        if data[:2] == JPEG_SIGNATURE:
            self._read_jpeg(data, out)
        elif data[:8] == PNG_SIGNATURE:
            self._read_png(data, out)
        else:
            raise Undecodable(f"is neither PNG nor JPEG (it begins {bytes(data[:8])!r})")

    def _read_jpeg(self, data: Bytes, out: NDArray[Any]) -> None:
        try:
            height, width, space, _ = simplejpeg.decode_jpeg_header(data)
            channels = 1 if space == "Gray" else 4 if space in ("CMYK", "YCCK") else 3
            self._check(height, width, channels, 8)
            simplejpeg.decode_jpeg(data, colorspace=self.colorspace, buffer=out)
        except ValueError as err:
            raise Undecodable(f"is a damaged JPEG ({err})") from err

    def _read_png(self, data: Bytes, out: NDArray[Any]) -> None:
        height, width, channels, depth, _ = png_header(data)
        # Checked before anything is inflated, so that a forged header cannot fill the memory.
        self._check(height, width, channels, max(depth, 8))
        out[...] = decode_png16(data) if depth == 16 else _decode_png8(data, out.shape)

    def _check(self, height: int, width: int, channels: int, depth: int) -> None:
        if (height, width, channels) != self.frame_shape or depth != self.bit_depth:
            wanted = " x ".join(map(str, self.frame_shape))
            raise Undecodable(
                f"is {height} x {width} x {channels} (height, width, channels) with {depth} bits, "
                f"the index says {wanted} with {self.bit_depth} bits"
            )

    def finish(self, values: NDArray[Any], flips: NDArray[np.bool_] | None) -> Tensor:
        if flips is not None and flips.any():
            values[flips] = values[flips][..., ::-1, :]
        if self.bit_depth == 16 and self.max_value != WHITE_16:
            # 12-bit data kept in 16 bits would come out almost black.
            values = np.rint(values * (WHITE_16 / self.max_value)).astype(np.int32)
            values = values.clip(max=WHITE_16)
        return torch.from_numpy(values).movedim(-1, -3)


def _decode_png8(data: Bytes, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as img:
            mode = MODES[shape[2]]
            return np.asarray(img if img.mode == mode else img.convert(mode)).reshape(shape)
    except (OSError, SyntaxError, ValueError, struct.error) as err:
        raise Undecodable(f"is a damaged PNG ({err})") from err


class _LabelReader(FieldReader):
    """Class numbers: int64 [n]."""

    dtype = np.int64

    def __init__(self, schema: FieldSchema) -> None:
        self.num_classes = schema.size

    def read(self, data: Bytes, values: NDArray[Any], place: int) -> None:
        try:
            label = int(bytes(data))
        except ValueError as err:
            raise Undecodable(f"is not an integer: {bytes(data[:20])!r}") from err
        if not 0 <= label < self.num_classes:
            raise Undecodable(
                f"is the label {label}; the index has the classes 0 to {self.num_classes - 1}"
            )
        values[place] = label


class _VectorReader(FieldReader):
    """Attributes (JSON) and text embeddings (npy): float32 [n, D].

    Of several captions, [K, D], it reads the one that belongs to the caption.
    """

    def __init__(self, schema: FieldSchema, captions: NDArray[np.uint64] | None) -> None:
        self.shape = (schema.size,)
        self.is_json = schema.kind == "attributes"
        self.captions = captions

    def read(self, data: Bytes, values: NDArray[Any], place: int) -> None:
        try:
            if self.is_json:
                vector = np.asarray(json.loads(bytes(data)), dtype=np.float32)
            else:
                vector = np.load(io.BytesIO(data), allow_pickle=False)
        except (ValueError, TypeError, EOFError) as err:
            raise Undecodable(f"is not a vector ({err})") from err
        rows = vector[None] if vector.ndim == 1 or self.is_json else vector
        if rows.ndim != 2 or rows.shape[1:] != self.shape or len(rows) == 0:
            raise Undecodable(f"has shape {list(vector.shape)}, the index says {list(self.shape)}")
        values[place] = rows[_chosen(self.captions, place, len(rows))]


def _chosen(captions: NDArray[np.uint64] | None, place: int, count: int) -> int:
    return 0 if captions is None else int(captions[place]) % count


class _CaptionReader(FieldReader):
    """Captions, one per line: a list of n strings."""

    dtype = object

    def __init__(self, captions: NDArray[np.uint64] | None) -> None:
        self.captions = captions

    def read(self, data: Bytes, values: NDArray[Any], place: int) -> None:
        try:
            lines = caption_lines(bytes(data).decode("utf-8")) or [""]
            values[place] = lines[_chosen(self.captions, place, len(lines))]
        except UnicodeDecodeError as err:
            raise Undecodable(f"is not UTF-8 text ({err})") from err

    def finish(self, values: NDArray[Any], flips: NDArray[np.bool_] | None) -> list[str]:
        return list(values)


def caption_lines(text: str) -> list[str]:
    """The captions of a sample: the lines that are not blank."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def field_reader(schema: FieldSchema, captions: NDArray[np.uint64] | None = None) -> FieldReader:
    """The reader of a kind of field.

    Args:
        schema: of the field.
        captions: [n] hashes that choose among several captions; the first when omitted.
    """
    if schema.kind in PIXEL_KINDS:
        return _ImageReader(schema)
    if schema.kind == "label":
        return _LabelReader(schema)
    if schema.kind == "caption":
        return _CaptionReader(captions)
    return _VectorReader(schema, captions)
