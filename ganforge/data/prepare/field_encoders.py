"""How the values of fields are stored: pixels as PNG or JPEG, clips of them, and vectors."""

import functools
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ganforge.data.prepare.field_kinds import frames_of
from ganforge.data.shards.clip import pack_clip
from ganforge.data.shards.coordinates import place_points
from ganforge.data.shards.index import FieldSchema
from ganforge.imaging.channels import MODES
from ganforge.imaging.codec import (
    Pixels,
    Undecodable,
    decode_image,
    encode_jpeg,
    encode_pixels,
    read_image_file,
    read_npy,
    storable_as_is,
)
from ganforge.imaging.further_frames import has_more_frames
from ganforge.imaging.label_maps import decode_labels
from ganforge.imaging.resize import ImageForm
from ganforge.interfaces.source import Frames, ImageHalf, Poses

Vector = NDArray[np.float32]


@dataclass
class StoredPixels:
    """An image, a label map or a clip as it is stored."""

    data: bytes
    extension: str
    size: tuple[int, int]
    """(height, width) before resizing."""
    largest: int
    """White of images, the largest id of label maps."""
    num_frames: int = 1
    has_more: bool = False
    """Whether the file holds further frames or pages, which are not used."""


def decode_value(value: Any, is_labels: bool, value_range: tuple[float, float] | None) -> Pixels:
    """The pixels of one image or label map."""
    if isinstance(value, ImageHalf):
        return _decode_half(value, is_labels, value_range)
    return decode_labels(value) if is_labels else decode_image(value, value_range)


def _decode_half(
    half: ImageHalf, is_labels: bool, value_range: tuple[float, float] | None
) -> Pixels:
    data = read_image_file(half.image) if isinstance(half.image, Path) else half.image
    whole = _decode_whole(data, is_labels, value_range)
    width = whole.shape[1]
    if width % 2:
        raise Undecodable(f"is {width} pixels wide, which gives no two equal halves; crop it")
    half_width = width // 2
    return whole[:, :half_width] if half.side == "left" else whole[:, half_width:]


@functools.lru_cache(maxsize=1)
def _decode_whole(data: bytes, is_labels: bool, value_range: tuple[float, float] | None) -> Pixels:
    """Kept, because the other half of a pair is usually needed next."""
    return decode_value(data, is_labels, value_range)


@dataclass(frozen=True)
class PixelEncoder:
    """Stores the images or label maps of one field in one form."""

    schema: FieldSchema
    form: ImageForm
    frame_format: Literal["png", "jpeg"] = "png"
    """Of the frames of clips that must be encoded."""
    are_channels_set: bool = True
    """Whether the configuration sets the channels; else an image that would lose any is refused."""

    def encode(self, value: Any) -> StoredPixels:
        """An image, or a clip of them, frame by frame.

        Raises:
            Undecodable: it is damaged, or does not fit the form.
        """
        if not self.schema.is_clip:
            return self._encode_frame(value)
        frames: list[bytes] = []
        sizes: set[tuple[int, int]] = set()
        largest = 0
        for number, frame in enumerate(frames_of(value, True)):
            try:
                stored = self._encode_frame(frame)
            except Undecodable as err:
                raise Undecodable(f"frame {number}{origin_of(frame)} {err}") from err
            frames.append(stored.data)
            sizes.add(stored.size)
            largest = max(largest, stored.largest)
        if not frames:
            raise Undecodable("has no frames")
        if len(sizes) > 1:
            first, second = (f"{height} x {width}" for height, width in sorted(sizes)[:2])
            raise Undecodable(f"has frames of different sizes ({first} and {second})")
        return StoredPixels(pack_clip(frames), "clip", sizes.pop(), largest, len(frames))

    def _encode_frame(self, value: Any) -> StoredPixels:
        is_labels, value_range = self.schema.kind == "labels", self.schema.value_range
        data = read_image_file(value) if isinstance(value, Path) else value
        decoded = decode_value(data, is_labels, value_range)
        if not self.are_channels_set:
            self._check_channels(decoded)
        pixels = self.form.apply(decoded)
        kept = None
        if isinstance(data, bytes) and value_range is None:
            kept = storable_as_is(data, pixels)
        stored = data if kept else self._encode_new(pixels)
        size = (decoded.shape[0], decoded.shape[1])
        has_more = isinstance(data, bytes) and has_more_frames(data)
        return StoredPixels(stored, kept or "png", size, self._largest(pixels), has_more=has_more)

    def _check_channels(self, pixels: Pixels) -> None:
        """Refuse colors or transparency that the images before it do not have."""
        wanted, found = self.form.channels, pixels.shape[2]
        if self.schema.kind == "labels" or found <= wanted or found not in MODES:
            return
        is_gray = bool((pixels[..., :1] == pixels[..., 1:3]).all())
        is_opaque = found < 4 or bool((pixels[..., 3] == np.iinfo(pixels.dtype).max).all())
        if is_opaque and (is_gray or wanted == 3):
            return
        raise Undecodable(
            f"has {found} channels, the images before it have {wanted}; set data.channels (or "
            f"channels of this field in data.fields) to {found} to keep them, or to {wanted} to "
            f"convert such images"
        )

    def _encode_new(self, pixels: Pixels) -> bytes:
        schema = self.schema
        is_lossy = self.frame_format == "jpeg" and schema.is_clip and schema.kind == "image"
        if is_lossy and schema.bit_depth == 8 and schema.channels in (1, 3):
            return encode_jpeg(pixels)
        return encode_pixels(pixels)

    def _largest(self, pixels: Pixels) -> int:
        """The largest id; of images white: 255, or the smallest 2**k - 1 that no value exceeds."""
        if self.schema.kind == "labels":
            return int(pixels.max())
        if pixels.dtype == np.uint8:
            return 255
        if self.schema.value_range is not None:
            return 65535
        return max(255, (1 << int(pixels.max()).bit_length()) - 1)


def origin_of(value: Any) -> str:
    """The file of a value in brackets, for messages."""
    origin = value.image if isinstance(value, ImageHalf) else value
    return f" ({origin})" if isinstance(origin, Path | Frames) else ""


def as_vector(value: Any) -> Vector:
    """The numbers of a value, or of a .npy file: float32, of any shape but a single number.

    Raises:
        Undecodable: they are no finite numbers.
    """
    if isinstance(value, Path):
        value = read_npy(read_image_file(value))
    if isinstance(value, Poses):
        value = value.points
    try:
        vector = np.atleast_1d(np.asarray(value, dtype=np.float32))
    except (TypeError, ValueError, OverflowError) as err:
        raise Undecodable(f"is not a list of numbers ({err})") from err
    if not np.isfinite(vector).all():
        raise Undecodable("holds numbers that are not finite")
    return vector


def encode_vector(
    value: Any, schema: FieldSchema, num_frames: int, form: ImageForm | None, size: tuple[int, int]
) -> bytes:
    """A vector, or one per frame, as .npy; its coordinates follow the resizing of the image.

    Args:
        value: numbers.
        schema: of the field.
        num_frames: of the sample's clip.
        form: of the main image; needed for coordinates.
        size: (height, width) of the main image before resizing.

    Raises:
        Undecodable: another length than `schema` says, or not one row per frame.
    """
    vector = as_vector(value)
    shape = (num_frames, schema.size) if schema.is_clip else (schema.size,)
    if (schema.is_clip and len(vector) != num_frames) or vector.size != np.prod(shape):
        wanted = f"{schema.size} numbers" + (f" for each of {num_frames} frames" * schema.is_clip)
        raise Undecodable(f"must hold {wanted}, as before; its shape is {list(vector.shape)}")
    vector = vector.reshape(shape)
    if schema.coordinates is not None and form is not None:
        vector = place_points(vector, schema.coordinates, form, size)
    return npy_bytes(vector)


def npy_bytes(array: NDArray[Any]) -> bytes:
    """An array as the content of a .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
