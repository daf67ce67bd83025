from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganforge.config.data import FieldConfig
from ganforge.data.prepare.field_kinds import clip_length, frames_of, is_clip, kind_of
from ganforge.interfaces.source import Sample

GRAY = np.zeros((4, 4), np.uint8)


@pytest.mark.parametrize(
    ("name", "value", "options", "kind"),
    [
        ("label", 3, {}, "label"),
        ("caption", "x", {}, "caption"),
        ("attributes", [1], {}, "attributes"),
        ("text", [1.0], {"kind": "image"}, "text"),
        ("image", Path("a.png"), {}, "image"),
        ("image", b"bytes", {}, "image"),
        ("image", GRAY, {}, "image"),
        ("source", GRAY, {"kind": "labels"}, "labels"),
        ("source", GRAY, {"num_labels": 3}, "labels"),
        ("boxes", [1, 2, 3, 4], {}, "vector"),
        ("boxes", [[1.5, 2], [3, 4]], {}, "vector"),
        ("boxes", np.zeros(4), {}, "vector"),
        ("points", np.zeros((3, 2)), {"coordinates": "xy"}, "vector"),
        ("age", 31, {}, "vector"),
        ("frames", [GRAY, GRAY], {}, "image"),
    ],
)
def test_kind_comes_from_the_name_then_the_options_then_the_value(name, value, options, kind):
    assert kind_of(name, value, FieldConfig(**options)) == kind


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("image", [GRAY], True),
        ("image", GRAY, False),
        ("image", np.zeros((2, 4, 4, 3)), True),
        ("image", Image.new("L", (2, 2)), False),
        ("labels", np.zeros((2, 4, 5)), True),
        ("labels", np.zeros((2, 4, 3)), False),
        ("labels", np.zeros((4, 4, 1)), False),
        ("vector", [[1, 2], [3, 4]], False),
    ],
)
def test_clips_are_lists_of_frames_and_arrays_of_one_more_axis(kind, value, expected):
    assert is_clip(kind, value) == expected


def test_frames_of_a_single_image_are_itself():
    assert list(frames_of(b"x", False)) == [b"x"]
    assert list(frames_of([b"x", b"y"], True)) == [b"x", b"y"]


def test_clip_length_is_that_of_the_shortest_clip():
    fields = {"frames": [GRAY] * 3, "source": [GRAY] * 2, "boxes": [1, 2], "image": GRAY}
    assert clip_length(Sample("a", fields), {}) == 2
    assert clip_length(Sample("a", {"image": GRAY}), {}) is None
