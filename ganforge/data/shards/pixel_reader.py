"""Images and label maps, still or in clips, decoded into the batch.

Legend: n samples in a batch, T frames, H, W, C. Images are decoded straight into an array
[n, H, W, C], which leaves as a [n, C, H, W] tensor in channels-last memory without a copy.
"""

from typing import Any

import numpy as np
import simplejpeg
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganforge.data.shards.clip import check_frame, head_bytes, read_count, read_table
from ganforge.data.shards.field_reader import FieldReader
from ganforge.data.shards.index import FieldSchema
from ganforge.data.shards.member import Member
from ganforge.data.views import Size, Views
from ganforge.imaging.channels import MODES
from ganforge.imaging.codec import (
    JPEG_SIGNATURE,
    PNG_SIGNATURE,
    Bytes,
    Undecodable,
    decode_pixels,
    decode_png16,
    open_pillow,
    png_header,
)

WHITE_16 = 65535
"""White in int32 image tensors, whatever the bit depth of the data."""
_HEAD_BYTES = 4096
"""Read at once of each clip: the table of 255 frames."""


class PixelReader(FieldReader):
    """Images and label maps: [n, C, H, W], clips [n, T, C, H, W]; uint8, or int32 for 16 bits.

    White is 255 or 65535. Ids of label maps are exact: they are never interpolated.
    """

    def __init__(self, schema: FieldSchema, views: Views) -> None:
        super().__init__(schema, views)
        # uint16 tensors lack most operations.
        self.dtype = np.uint8 if schema.bit_depth == 8 else np.int32
        self.is_labels = schema.kind == "labels"
        self.stored_shape = (schema.height, schema.width, 1 if self.is_labels else schema.channels)
        self.colorspace = "GRAY" if self.stored_shape[2] == 1 else "RGB"
        self._frame_numbers: dict[int, range] = {}
        if views.crops is not None:
            self.whole = np.empty(self.stored_shape, dtype=self.dtype)

    @property
    def value_shape(self) -> tuple[int, ...]:
        """Height, width and channels, after the crop."""
        crops = self.views.crops
        return self.stored_shape if crops is None else (*crops.size, self.stored_shape[2])

    def frame_numbers(self, place: int) -> range:
        """The frames of a sample that were read; a still image is frame 0."""
        return self._frame_numbers.get(place, range(1))

    def read(self, member: Member, values: NDArray[Any], place: int) -> None:
        """Read an image, or the frames of a window."""
        if not self.schema.is_clip:
            self._show(member.read(), values[place], place)
            return
        for out, frame in zip(values[place], self._frames(member, place), strict=True):
            self._show(frame, out, place)

    def _frames(self, member: Member, place: int) -> list[Bytes]:
        """The encoded frames of the window of a clip; nothing else is read."""
        head = member.part(0, _HEAD_BYTES)
        if len(head) < head_bytes(read_count(head)):
            head = member.part(0, head_bytes(read_count(head)))
        table = read_table(head, member.size)
        numbers = self.views.frames(place, len(table), self.window)
        if not 0 <= numbers.start < numbers.stop <= len(table):
            raise Undecodable(f"has {len(table)} frames, fewer than {self.window.span}")
        self._frame_numbers[place] = numbers
        chosen = table[numbers.start : numbers.stop : numbers.step]
        frames = _read_frames(member, chosen["offset"].tolist(), chosen["size"].tolist())
        for frame, entry in zip(frames, chosen, strict=True):
            check_frame(frame, entry)
        return frames

    def _show(self, data: Bytes, out: NDArray[Any], place: int) -> None:
        """Decode one image or frame, crop, scale and mirror it."""
        crops = self.views.crops
        if crops is None:
            pixels = self._decode(data, out)
        else:
            top, left, height, width = crops.regions[place].tolist()
            pixels = self._decode(data, self.whole)[top : top + height, left : left + width]
            if (height, width) != crops.size:
                pixels = self._scale(pixels, crops.size)
        if self.views.is_mirrored(place):
            out[...] = pixels[:, ::-1]
        elif pixels is not out:
            out[...] = pixels

    def _decode(self, data: Bytes, buffer: NDArray[Any]) -> NDArray[Any]:
        """The pixels, in `buffer` or in another array."""
        if data[:8] == PNG_SIGNATURE:
            return self._decode_png(data)
        if data[:2] != JPEG_SIGNATURE:
            raise Undecodable(f"is neither PNG nor JPEG (it begins {bytes(data[:8])!r})")
        if self.is_labels:
            raise Undecodable("is a JPEG, which does not keep the ids of a label map")
        try:
            height, width, space, _ = simplejpeg.decode_jpeg_header(data)
            channels = 1 if space == "Gray" else 4 if space in ("CMYK", "YCCK") else 3
            self._check(height, width, channels, 8)
            simplejpeg.decode_jpeg(data, colorspace=self.colorspace, buffer=buffer)
        except ValueError as err:
            raise Undecodable(f"is a damaged JPEG ({err})") from err
        return buffer

    def _decode_png(self, data: Bytes) -> NDArray[Any]:
        height, width, channels, depth, _ = png_header(data)
        planes = self.stored_shape[2]
        is_stacked = planes not in MODES and channels == 1 and height % planes == 0
        if is_stacked:
            height, channels = height // planes, planes
        # Checked before anything is inflated, so that a forged header cannot fill the memory.
        self._check(height, width, channels, max(depth, 8))
        if is_stacked:
            return decode_pixels(data, planes)
        pixels = decode_png16(data) if depth == 16 else _decode_png8(data, MODES[planes])
        return pixels.reshape(self.stored_shape)

    def _check(self, height: int, width: int, channels: int, depth: int) -> None:
        wanted = self.stored_shape
        if (height, width, channels) != wanted or depth != self.schema.bit_depth:
            raise Undecodable(
                f"is {height} x {width} x {channels} (height, width, channels) with {depth} bits, "
                f"the index says {' x '.join(map(str, wanted))} with {self.schema.bit_depth} bits"
            )

    def _scale(self, pixels: NDArray[Any], size: Size) -> NDArray[Any]:
        """The pixels scaled to a size: label maps by the nearest, images bicubic."""
        if self.is_labels:
            rows, columns = (
                ((np.arange(new) + 0.5) * (old / new)).astype(np.int64)
                for new, old in zip(size, pixels.shape[:2], strict=True)
            )
            return np.asarray(pixels[rows[:, None], columns])
        planes = torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)[None]
        scaled = torch.nn.functional.interpolate(planes, size, mode="bicubic", antialias=True)
        white = 255 if self.schema.bit_depth == 8 else self.schema.max_value
        scaled = scaled[0].permute(1, 2, 0)
        return np.asarray(scaled.round().clamp(0, white))

    def finish(self, values: NDArray[Any]) -> Tensor:
        """The batch, channels first."""
        max_value = self.schema.max_value
        if self.schema.bit_depth == 16 and not self.is_labels and max_value != WHITE_16:
            # 12-bit data kept in 16 bits would come out almost black.
            values = np.rint(values * (WHITE_16 / max_value)).astype(np.int32)
            values = values.clip(max=WHITE_16)
        return torch.from_numpy(values).movedim(-1, -3)


def _read_frames(member: Member, offsets: list[int], sizes: list[int]) -> list[Bytes]:
    begin, end = offsets[0], offsets[-1] + sizes[-1]
    if end - begin != sum(sizes):  # not one after the other: the stride is more than 1
        return [member.part(*place) for place in zip(offsets, sizes, strict=True)]
    data = memoryview(member.part(begin, end - begin))
    return [data[offset - begin :][:size] for offset, size in zip(offsets, sizes, strict=True)]


def _decode_png8(data: Bytes, mode: str) -> NDArray[np.uint8]:
    with open_pillow(data) as img:
        return np.asarray(img if img.mode == mode else img.convert(mode))
