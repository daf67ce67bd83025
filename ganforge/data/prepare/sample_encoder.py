"""Encodes a source's samples as they are stored, by a schema made from the first ones."""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ganforge.config.models import DataConfig
from ganforge.data.shards.clip import pack_clip
from ganforge.data.shards.index import PIXEL_KINDS, FieldKind, FieldSchema
from ganforge.data.shards.writer import EncodedSample
from ganforge.errors import DataError
from ganforge.imaging.codec import (
    Pixels,
    Undecodable,
    decode_image,
    encode_png,
    read_image_file,
    storable_as_is,
)
from ganforge.imaging.resize import ImageForm
from ganforge.interfaces.source import Sample

PROBED = 64
"""Samples of a stream that decide its schema."""
_KINDS: dict[str, FieldKind] = {
    "label": "label",
    "caption": "caption",
    "attributes": "attributes",
    "text": "text",
}


@dataclass
class Encoded:
    """A stored sample with its part of the index, or the fault that prevents storing it."""

    sample: EncodedSample
    label: int | None = None
    max_values: dict[str, int] = field(default_factory=dict)
    fault: str = ""


def kind_of(name: str, value: Any) -> FieldKind:
    """The kind of a field, from its name and a value."""
    if name in _KINDS:
        return _KINDS[name]
    return "image"


def is_clip(value: Any) -> bool:
    """Whether a value of an image field is a sequence of frames."""
    return isinstance(value, (list, tuple)) or (isinstance(value, np.ndarray) and value.ndim == 4)


def probe_schema(
    config: DataConfig, stream: str, first: Sequence[Sample], where: str
) -> dict[str, FieldSchema]:
    """The schema of a stream, from its first samples.

    Channels and bits are the maximum over the samples; sizes must agree unless
    `data.resolution` is set.

    Raises:
        DataError: sizes differ and no resolution is set, or no probed image can be decoded.
    """
    return {
        name: _probe_field(config, stream, name, [s for s in first if name in s.fields], where)
        for name in sorted(first[0].fields)
    }


def _probe_field(
    config: DataConfig, stream: str, name: str, first: Sequence[Sample], where: str
) -> FieldSchema:
    value = first[0].fields[name]
    kind = kind_of(name, value)
    if kind in ("label", "caption"):
        return FieldSchema(kind=kind, stream=stream)
    if kind in ("attributes", "text"):
        return FieldSchema(kind=kind, stream=stream, size=np.shape(value)[-1])
    shapes = [_shape(sample.fields[name]) for sample in first]
    found = [shape for shape in shapes if shape is not None]
    if not found:
        raise DataError(
            f"None of the first {len(first)} samples of {where} has a readable '{name}'. Check "
            f"the source with `ganforge data inspect`."
        )
    height, width = config.height_width or found[0][:2]
    if config.height_width is None and config.resize != "none":
        other = next((s for s in found if s[:2] != found[0][:2]), None)
        if other is not None:
            raise DataError(
                f"Images of {where} differ in size: {found[0][0]} x {found[0][1]} and "
                f"{other[0]} x {other[1]}. Set data.resolution, and data.resize if the center is "
                f"not what you want."
            )
    return FieldSchema(
        kind=kind,
        stream=stream,
        height=height,
        width=width,
        channels=config.channels or max(s[2] for s in found),
        bit_depth=16 if any(s[3] == 16 for s in found) else 8,
        is_clip=is_clip(value),
        num_frames=len(value) if is_clip(value) else 1,
    )


def _shape(value: Any) -> tuple[int, int, int, int] | None:
    """(height, width, channels, bits) of an image or of the first frame; None when undecodable."""
    try:
        pixels = decode_image(next(iter(frames_of(value))))
    except Undecodable:
        return None
    return (*pixels.shape, 8 * pixels.dtype.itemsize)


def frames_of(value: Any) -> Iterator[Any]:
    """The images of a value: its frames, or itself."""
    return iter(value if is_clip(value) else (value,))


class SampleEncoder:
    """Encodes samples as they are stored. Worker processes get a pickled copy."""

    def __init__(self, config: DataConfig, schema: Mapping[str, FieldSchema], where: str) -> None:
        self.schema = dict(schema)
        self.where = where
        # Without a resolution all images must have the size of the first.
        resize = config.resize if config.resolution is not None else "none"
        self.forms = {
            name: ImageForm(s.height, s.width, s.channels, s.bit_depth, resize, config.background)
            for name, s in schema.items()
            if s.kind in PIXEL_KINDS
        }

    def encode_all(self, samples: Sequence[Sample]) -> list[Encoded]:
        """Encode a chunk; faults are returned, not raised."""
        return [self.encode(sample) for sample in samples]

    def encode(self, sample: Sample) -> Encoded:
        """Encode one sample; a fault is returned, not raised."""
        encoded = Encoded(EncodedSample(sample.key, {}))
        try:
            self._check(sample)
            for name, value in sample.fields.items():
                self._encode_field(name, value, encoded)
        except Undecodable as err:
            encoded.fault = f"Sample '{sample.key}' of {self.where}: {err}"
        return encoded

    def _check(self, sample: Sample) -> None:
        key = sample.key
        if not key or not key.isprintable() or set(key) & set("./\\"):
            raise Undecodable("its key must be printable, without dots or slashes")
        if set(sample.fields) != set(self.schema):
            raise Undecodable(
                f"it has the fields {', '.join(sorted(sample.fields))}, the samples before it "
                f"have {', '.join(sorted(self.schema))}"
            )

    def _encode_field(self, name: str, value: Any, encoded: Encoded) -> None:
        members, schema = encoded.sample.members, self.schema[name]
        kind = kind_of(name, value)
        if kind != schema.kind or (kind in PIXEL_KINDS and is_clip(value) != schema.is_clip):
            raise Undecodable(f"field '{name}' is not one {schema.kind}, as before")
        if schema.kind == "label":
            encoded.label = _as_label(value)
            members["label.cls"] = str(encoded.label).encode()
        elif schema.kind == "caption":
            members["caption.txt"] = _as_captions(value).encode()
        elif schema.kind == "attributes":
            vector = _as_vector(name, value, schema.size)
            members["attributes.json"] = json.dumps([float(v) for v in vector]).encode()
        elif schema.kind == "text":
            members["text.npy"] = npy_bytes(_as_vector(name, value, schema.size))
        else:
            self._encode_image(name, value, encoded)

    def _encode_image(self, name: str, value: Any, encoded: Encoded) -> None:
        schema, form = self.schema[name], self.forms[name]
        try:
            if not schema.is_clip:
                data = read_image_file(value) if isinstance(value, Path) else value
                pixels = form.apply(decode_image(data))
                kept = storable_as_is(data, pixels) if isinstance(data, bytes) else None
            else:
                frames = [form.apply(decode_image(frame)) for frame in frames_of(value)]
                if len(frames) != schema.num_frames:
                    raise Undecodable(f"has {len(frames)} frames, not {schema.num_frames}")
                packed = pack_clip([encode_png(frame) for frame in frames])
                encoded.sample.members[f"{name}.clip"] = packed
                encoded.max_values[name] = max(map(_max_value, frames))
                return
        except Undecodable as err:
            origin = f" ({value})" if isinstance(value, Path) else ""
            raise Undecodable(f"field '{name}'{origin} {err}") from err
        encoded.sample.members[f"{name}.{kept or 'png'}"] = data if kept else encode_png(pixels)
        encoded.max_values[name] = _max_value(pixels)


def _max_value(pixels: Pixels) -> int:
    """White: 255, or for 16 bits the smallest 2**k - 1 that no value exceeds."""
    if pixels.dtype == np.uint8:
        return 255
    return max(255, (1 << int(pixels.max()).bit_length()) - 1)


def _as_label(value: Any) -> int:
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return int(value)
    raise Undecodable(f"its label is {value!r}, not an integer")


def _as_captions(value: Any) -> str:
    """One caption, or several as lines."""
    if isinstance(value, list | tuple):
        return "\n".join(" ".join(str(caption).split()) for caption in value)
    return str(value)


def npy_bytes(vector: np.ndarray[Any, np.dtype[np.float32]]) -> bytes:
    """An array as the content of a .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, vector, allow_pickle=False)
    return buffer.getvalue()


def _as_vector(name: str, value: Any, size: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    try:
        vector = np.asarray(value, dtype=np.float32)
    except (TypeError, ValueError) as err:
        raise Undecodable(f"field '{name}' is not a list of numbers ({err})") from err
    several = name == "text" and vector.ndim == 2 and len(vector) > 0
    if vector.shape[several:] != (size,) or not np.isfinite(vector).all():
        raise Undecodable(f"field '{name}' must hold {size} finite numbers, as before")
    return vector
