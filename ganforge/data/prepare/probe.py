"""The schema of a stream, from its first samples."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ganforge.config.data import DataConfig, FieldConfig
from ganforge.data.prepare.field_encoders import as_vector, decode_value, origin_of
from ganforge.data.prepare.field_kinds import BY_NAME, clip_length, frames_of, is_clip, kind_of
from ganforge.data.shards.coordinates import POINT_SIZES
from ganforge.data.shards.index import FieldKind, FieldSchema
from ganforge.errors import DataError, suggest
from ganforge.imaging.codec import Undecodable
from ganforge.imaging.pose_layouts import pose_layout
from ganforge.interfaces.source import Poses, Sample

PROBED = 64
"""Samples of a stream that decide its schema."""


def probe_schema(
    config: DataConfig, stream: str, first: Sequence[Sample], where: str
) -> dict[str, FieldSchema]:
    """The schema of a stream, from its first samples.

    Channels and bits are the maximum over the samples; sizes must agree unless
    `data.resolution` is set.

    Raises:
        DataError: sizes differ and no resolution is set, no probed value can be decoded, or
            `data.fields` does not fit the samples.
    """
    faults = [sample.fault for sample in first if sample.fault]
    first = [sample for sample in first if not sample.fault]
    if not first:
        raise DataError(f"None of the first samples of {where} can be read. The first: {faults[0]}")
    return {
        name: _probe_field(config, stream, name, [s for s in first if name in s.fields], where)
        for name in sorted(first[0].fields)
    }


def check_field_names(config: DataConfig, names: Iterable[str], where: str) -> None:
    """Refuse names in `data.fields` that no sample has, or that fix their kinds."""
    names = list(names)
    fixed = next((name for name in config.fields if name in BY_NAME), None)
    if fixed is not None:
        raise DataError(
            f"data.fields.{fixed} cannot be set: the name '{fixed}' says what the field holds. "
            f"Remove it, or give the field another name."
        )
    unknown = next((name for name in config.fields if name not in names), None)
    if unknown is not None:
        raise DataError(
            f"data.fields names '{unknown}', but the samples of {where} have "
            f"{', '.join(sorted(names))}. {suggest(unknown, names)}"
        )


def _probe_field(
    config: DataConfig, stream: str, name: str, first: Sequence[Sample], where: str
) -> FieldSchema:
    value = first[0].fields[name]
    options = config.fields.get(name, FieldConfig())
    kind = kind_of(name, value, options)
    if kind in ("label", "caption"):
        return FieldSchema(kind=kind, stream=stream)
    if kind in ("attributes", "text"):
        return FieldSchema(kind=kind, stream=stream, size=np.shape(value)[-1])
    if kind == "vector":
        return _probe_vector(config, stream, name, first[0], where)
    looks = [_look(sample.fields[name], kind, options) for sample in first]
    found = [look for look in looks if not isinstance(look, str)]
    if not found:
        raise DataError(
            f"None of the first {len(first)} samples of {where} has a readable '{name}'; the first "
            f"{looks[0]}. Check the source with `ganforge data inspect`."
        )
    height, width = config.stored_size or _common_size(config, found, where)
    known_channels = 1 if kind == "labels" else options.channels or config.channels
    return FieldSchema(
        kind=kind,
        stream=stream,
        height=height,
        width=width,
        channels=known_channels or max(look[2] for look in found),
        bit_depth=16 if any(look[3] == 16 for look in found) or _has_many_ids(options) else 8,
        value_range=options.value_range,
        size=options.num_labels or 0,
        is_clip=is_clip(kind, value),
    )


def _has_many_ids(options: FieldConfig) -> bool:
    """Whether a label map may hold ids above 255: many classes, or instances."""
    return options.num_labels is not None and not 1 <= options.num_labels <= 256


def _common_size(
    config: DataConfig, found: Sequence[tuple[int, ...]], where: str
) -> tuple[int, int]:
    height, width = found[0][:2]
    other = next((s for s in found if s[:2] != (height, width)), None)
    if other is not None and config.resize != "none":
        raise DataError(
            f"Images of {where} differ in size: {height} x {width} and {other[0]} x {other[1]}. "
            f"Set data.resolution, and data.resize if the center is not what you want."
        )
    return height, width


def _look(value: Any, kind: FieldKind, options: FieldConfig) -> tuple[int, int, int, int] | str:
    """(height, width, channels, bits) of an image or of the first frame; a text if it has none."""
    frame = None
    try:
        frame = next(frames_of(value, is_clip(kind, value)), None)
        if frame is None:
            raise Undecodable("has no frames")
        pixels = decode_value(frame, kind == "labels", options.value_range)
    except Undecodable as err:
        return f"one{origin_of(value if frame is None else frame)} {err}"
    except DataError as err:  # of `Frames`
        return f"one: {err}"
    height, width, channels = pixels.shape
    return height, width, channels, 8 * pixels.dtype.itemsize


def _probe_vector(
    config: DataConfig, stream: str, name: str, sample: Sample, where: str
) -> FieldSchema:
    options = _vector_options(config, name, sample.fields[name])
    try:
        vector = as_vector(sample.fields[name])
        per_frame = vector.ndim > 1 and clip_length(sample, config.fields) is not None
        size = int(vector[0].size if per_frame and len(vector) else vector.size)
        _check_points(size, options)
    except Undecodable as err:
        fault = f"Sample '{sample.key}' of {where}: field '{name}' {err}"
        raise DataError(f"{fault}. Correct it, or data.fields.{name}.") from err
    return FieldSchema(
        kind="vector",
        stream=stream,
        size=size,
        is_clip=per_frame,
        coordinates=options.coordinates,
        swap=options.swap,
    )


def _vector_options(config: DataConfig, name: str, value: Any) -> FieldConfig:
    """The options of a vector; those of poses follow from their layout."""
    layout = pose_layout(value.points.shape[1]) if isinstance(value, Poses) else None
    if layout is None:
        return config.fields.get(name, FieldConfig())
    return FieldConfig(kind="vector", coordinates="xyv", swap=layout.swap)


def _check_points(size: int, options: FieldConfig) -> None:
    """Refuse numbers that are no whole points, and points that are to be swapped but are not there.

    Raises:
        Undecodable: the text completes "field 'x' ...".
    """
    if size == 0:
        raise Undecodable("is empty")
    step = POINT_SIZES[options.coordinates] if options.coordinates else 1
    if size % step:
        raise Undecodable(
            f"has {size} numbers, but coordinates: {options.coordinates} needs a multiple of {step}"
        )
    largest = max((index for pair in options.swap for index in pair), default=0)
    if largest >= size // step:
        raise Undecodable(f"has {size // step} points (from 0), but swap names point {largest}")
