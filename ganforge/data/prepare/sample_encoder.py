"""Encodes a source's samples as they are stored, by the schema of their stream."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ganforge.config.data import DataConfig, FieldConfig
from ganforge.data.prepare.field_encoders import (
    PixelEncoder,
    StoredPixels,
    Vector,
    as_vector,
    encode_vector,
    npy_bytes,
    origin_of,
)
from ganforge.data.prepare.field_kinds import is_clip, kind_of
from ganforge.data.prepare.fingerprint import fingerprint
from ganforge.data.prepare.image_spec import main_field
from ganforge.data.shards.index import PIXEL_KINDS, FieldSchema
from ganforge.data.shards.writer import EncodedSample
from ganforge.errors import DataError
from ganforge.imaging.codec import Undecodable
from ganforge.imaging.resize import ImageForm, ResizeMode
from ganforge.interfaces.source import Sample
from ganforge.redaction import redacted


@dataclass
class Encoded:
    """A stored sample with its part of the index, or the fault that prevents storing it."""

    sample: EncodedSample
    label: int | None = None
    largest: dict[str, int] = field(default_factory=dict)
    """White of images and the largest id of label maps, by field."""
    num_frames: dict[str, int] = field(default_factory=dict)
    """Of clips, by field."""
    has_more: bool = False
    """Whether an image has further frames or pages, which are not used."""
    fault: str = ""
    fingerprint: str = ""
    """Of the sample that was given."""


class SampleEncoder:
    """Encodes samples as they are stored. Worker processes get a pickled copy."""

    def __init__(self, config: DataConfig, schema: Mapping[str, FieldSchema], where: str) -> None:
        self.schema = dict(schema)
        self.fields = dict(config.fields)
        self.where = where
        # Without a resolution all images must have the size of the first.
        resize = config.resize if config.stored_size is not None else "none"
        self.pixels = {
            name: PixelEncoder(
                s, _form(s, resize, config), config.frame_format, _are_channels_set(config, name)
            )
            for name, s in schema.items()
            if s.kind in PIXEL_KINDS
        }
        self.main = main_field(self.pixels)

    @property
    def has_clips(self) -> bool:
        """Whether samples hold clips."""
        return any(schema.is_clip for schema in self.schema.values())

    def encode_all(self, samples: Sequence[Sample]) -> list[Encoded]:
        """Encode a chunk; faults are returned, not raised."""
        return [self.encode(sample) for sample in samples]

    def encode(self, sample: Sample) -> Encoded:
        """Encode one sample; a fault is returned, not raised."""
        # Before files are read: a change while they are read is found.
        given = fingerprint(sample)
        encoded = Encoded(EncodedSample(sample.key, {}, sample.group), fingerprint=given)
        try:
            self._check(sample)
            stored = {name: self._encode_pixels(name, sample.fields[name]) for name in self.pixels}
            self._check_alike(stored)
            for name, value in sample.fields.items():
                if name in stored:
                    self._add_pixels(name, stored[name], encoded)
                else:
                    self._encode_other(name, value, stored, encoded)
        except Undecodable as err:
            # It is kept in a file, should prepare be stopped.
            encoded.fault = redacted(f"Sample '{sample.key}' of {self.where}: {err}")
        return encoded

    def _check(self, sample: Sample) -> None:
        if sample.fault:
            raise Undecodable(sample.fault)
        key = sample.key
        if not key or not key.isprintable() or set(key) & set("./\\"):
            raise Undecodable("its key must be printable, without dots or slashes")
        if set(sample.fields) != set(self.schema):
            raise Undecodable(
                f"it has the fields {', '.join(sorted(sample.fields))}, the other samples have "
                f"{', '.join(sorted(self.schema))}"
            )
        for name, value in sample.fields.items():
            schema = self.schema[name]
            kind = kind_of(name, value, self.fields.get(name, FieldConfig()))
            several = schema.is_clip if kind == "vector" else is_clip(kind, value)
            if kind != schema.kind or several != schema.is_clip:
                was = f"{schema.kind} clip" if schema.is_clip else f"one {schema.kind}"
                raise Undecodable(f"field '{name}' is not {was}, as before")

    def _encode_pixels(self, name: str, value: Any) -> StoredPixels:
        try:
            return self.pixels[name].encode(value)
        except Undecodable as err:
            raise Undecodable(f"field '{name}'{origin_of(value)} {err}") from err
        except DataError as err:  # of `Frames`
            raise Undecodable(f"field '{name}' cannot be decoded: {err}") from err

    def _check_alike(self, stored: Mapping[str, StoredPixels]) -> None:
        """Refuse images that resizing would move against each other, and clips of two lengths."""
        for name, pixels in stored.items():
            main = stored[self.main]
            if not _stay_aligned(main.size, pixels.size, self.pixels[name].form.resize):
                raise Undecodable(
                    f"'{self.main}' is {main.size[0]} x {main.size[1]} (height x width), '{name}' "
                    f"is {pixels.size[0]} x {pixels.size[1]}: with data.resize="
                    f"{self.pixels[name].form.resize} they would not stay aligned. Bring both to "
                    f"one aspect ratio, or set data.resize: stretch"
                )
        lengths = {n: s.num_frames for n, s in stored.items() if self.schema[n].is_clip}
        if len(set(lengths.values())) > 1:
            texts = [f"'{name}' has {count}" for name, count in sorted(lengths.items())]
            raise Undecodable(f"its clips differ in length: {', '.join(texts)} frames")

    def _add_pixels(self, name: str, stored: StoredPixels, encoded: Encoded) -> None:
        encoded.sample.members[f"{name}.{stored.extension}"] = stored.data
        encoded.largest[name] = stored.largest
        encoded.has_more |= stored.has_more
        if self.schema[name].is_clip:
            encoded.num_frames[name] = stored.num_frames

    def _encode_other(
        self, name: str, value: Any, stored: Mapping[str, StoredPixels], encoded: Encoded
    ) -> None:
        members, schema = encoded.sample.members, self.schema[name]
        if schema.kind == "label":
            encoded.label = _as_label(value)
            members["label.cls"] = str(encoded.label).encode()
        elif schema.kind == "caption":
            members["caption.txt"] = _as_captions(value).encode()
        elif schema.kind == "attributes":
            vector = _of_size(name, value, schema.size)
            members["attributes.json"] = json.dumps([float(v) for v in vector]).encode()
        elif schema.kind == "text":
            members["text.npy"] = npy_bytes(_of_size(name, value, schema.size))
        else:
            members[f"{name}.npy"] = self._encode_vector(name, value, stored)
            if schema.is_clip:
                encoded.num_frames[name] = max(s.num_frames for s in stored.values())

    def _encode_vector(self, name: str, value: Any, stored: Mapping[str, StoredPixels]) -> bytes:
        num_frames = max((s.num_frames for s in stored.values()), default=1)
        form = self.pixels[self.main].form if stored else None
        size = stored[self.main].size if stored else (1, 1)
        try:
            return encode_vector(value, self.schema[name], num_frames, form, size)
        except Undecodable as err:
            raise Undecodable(f"field '{name}' {err}") from err


def _form(schema: FieldSchema, resize: ResizeMode, config: DataConfig) -> ImageForm:
    return ImageForm(
        schema.height,
        schema.width,
        schema.channels,
        schema.bit_depth,
        resize,
        config.background,
        is_labels=schema.kind == "labels",
    )


def _are_channels_set(config: DataConfig, name: str) -> bool:
    own = config.fields[name].channels if name in config.fields else None
    return (own or config.channels) is not None


def _stay_aligned(main: tuple[int, int], other: tuple[int, int], resize: str) -> bool:
    """Whether two images of one scene still cover each other after resizing, but for a pixel."""
    if main == other or resize in ("stretch", "none"):
        return True
    if resize == "pad":
        return False
    (height, width), (other_height, other_width) = main, other
    # Sides that were rounded to whole pixels may differ by one from the exact aspect.
    return abs(height * other_width - width * other_height) <= max(*main, *other)


def _as_label(value: Any) -> int:
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return int(value)
    raise Undecodable(f"its label is {value!r}, not an integer")


def _as_captions(value: Any) -> str:
    """One caption, or several as lines."""
    captions = value if isinstance(value, list | tuple) else [value]
    if not captions or not all(isinstance(caption, str) for caption in captions):
        raise Undecodable(f"its caption is {value!r}, not a text")
    if isinstance(value, str):
        return value
    return "\n".join(" ".join(caption.split()) for caption in captions)


def _of_size(name: str, value: Any, size: int) -> Vector:
    try:
        vector = as_vector(value)
    except Undecodable as err:
        raise Undecodable(f"field '{name}' {err}") from err
    several = name == "text" and vector.ndim == 2 and len(vector) > 0
    if vector.shape[several:] != (size,):
        raise Undecodable(f"field '{name}' must hold {size} finite numbers, as before")
    return vector
