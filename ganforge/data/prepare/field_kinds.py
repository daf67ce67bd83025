"""Finds the kind of a field, and whether its values are clips."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ganforge.config.data import FieldConfig
from ganforge.data.shards.index import PIXEL_KINDS, FieldKind
from ganforge.interfaces.source import Frames, Poses, Sample

BY_NAME: Mapping[str, FieldKind] = {
    "label": "label",
    "caption": "caption",
    "attributes": "attributes",
    "text": "text",
}
"""Fields whose names fix their kinds."""


def kind_of(name: str, value: Any, config: FieldConfig) -> FieldKind:
    """The kind of a field: from its name, from `data.fields`, or from a value."""
    known = BY_NAME.get(name) or ("vector" if isinstance(value, Poses) else config.known_kind)
    return known or ("vector" if _is_numbers(value) else "image")


def _is_numbers(value: Any) -> bool:
    while isinstance(value, list | tuple) and value:
        value = value[0]
    if isinstance(value, np.ndarray):
        return value.ndim <= 1
    return isinstance(value, int | float | np.number)


def is_clip(kind: FieldKind, value: Any) -> bool:
    """Whether a value of a pixel field is a sequence of frames."""
    if kind not in PIXEL_KINDS:
        return False
    if isinstance(value, np.ndarray):
        # Not a color image [H, W, 3], which `decode_labels` refuses.
        is_stack = kind == "labels" and value.ndim == 3 and value.shape[2] not in (1, 3, 4)
        return value.ndim == 4 or is_stack
    return isinstance(value, list | tuple | Frames)


def frames_of(value: Any, several: bool) -> Iterator[Any]:
    """The images of a value: its frames, or itself."""
    return iter(value if several else (value,))


def clip_length(sample: Sample, fields: Mapping[str, FieldConfig]) -> int | None:
    """Frames of the shortest clip in a sample; None when it has none."""
    lengths = [
        len(value)
        for name, value in sample.fields.items()
        if is_clip(kind_of(name, value, fields.get(name, FieldConfig())), value)
    ]
    return min(lengths, default=None)
