import numpy as np
import pytest

from ganforge.config.data import DataConfig
from ganforge.data.prepare.probe import check_field_names, probe_schema
from ganforge.errors import DataError
from ganforge.interfaces.source import Sample

RGB = np.zeros((8, 6, 3), np.uint8)


def probe(values, name="x", **options):
    samples = [Sample(str(n), {name: value, "image": RGB}) for n, value in enumerate(values)]
    config = DataConfig(fields={name: options} if options else {})
    return probe_schema(config, "main", samples, "the test")[name]


def test_images_take_the_most_channels_and_bits_that_occur():
    schema = probe([RGB[..., :1], RGB, RGB[..., :1].astype(np.uint16)])
    assert (schema.height, schema.width, schema.channels, schema.bit_depth) == (8, 6, 3, 16)


def test_channels_of_a_field_stand_above_those_of_all_fields():
    config = DataConfig(channels=4, fields={"x": {"channels": 1}})
    schema = probe_schema(config, "main", [Sample("a", {"x": RGB, "image": RGB})], "the test")
    assert {name: f.channels for name, f in schema.items()} == {"x": 1, "image": 4}


def test_images_of_many_channels_keep_them():
    assert probe([np.zeros((8, 6, 7), np.uint8)]).channels == 7


def test_images_are_probed_at_the_size_from_which_crops_are_cut():
    config = DataConfig(resolution=4, crop={"from": 5})
    schema = probe_schema(config, "main", [Sample("a", {"image": RGB})], "the test")["image"]
    assert (schema.height, schema.width) == (5, 5)


def test_floats_with_a_range_are_kept_in_16_bits():
    schema = probe([RGB.astype(np.float32)], value_range=(0, 1))
    assert (schema.bit_depth, schema.value_range) == (16, (0, 1))


@pytest.mark.parametrize(
    ("dtype", "options", "depth"),
    [
        (np.uint8, {"kind": "labels"}, 8),
        (np.int64, {"kind": "labels"}, 8),
        (np.uint16, {"kind": "labels"}, 16),
        (np.uint8, {"num_labels": 256}, 8),
        (np.uint8, {"num_labels": 257}, 16),
        (np.uint8, {"num_labels": 0}, 16),
    ],
)
def test_label_maps_have_16_bits_where_ids_may_need_them(dtype, options, depth):
    schema = probe([np.ones((8, 6), dtype)], **options)
    assert (schema.kind, schema.channels, schema.bit_depth) == ("labels", 1, depth)


def test_clips_are_told_from_images():
    assert probe([[RGB, RGB]]).is_clip
    assert not probe([RGB]).is_clip


def test_vectors_keep_their_length_and_the_rules_of_their_points():
    schema = probe([[1, 2, 3, 4]], coordinates="xy", swap=[[0, 1]])
    assert (schema.kind, schema.size, schema.is_clip) == ("vector", 4, False)
    assert (schema.coordinates, schema.swap) == ("xy", ((0, 1),))


@pytest.mark.parametrize(
    ("value", "size", "is_clip"),
    [([[1, 2], [3, 4]], 2, True), ([[[1, 2]] * 3] * 2, 6, True), ([1, 2, 3], 3, False)],
)
def test_vectors_beside_a_clip_have_a_row_for_each_frame(value, size, is_clip):
    sample = Sample("a", {"frames": [RGB, RGB], "x": value})
    schema = probe_schema(DataConfig(), "main", [sample], "the test")["x"]
    assert (schema.size, schema.is_clip) == (size, is_clip)


@pytest.mark.parametrize(
    ("value", "options", "text"),
    [
        ([1, 2, 3], {"coordinates": "xyxy"}, "3 numbers, but coordinates: xyxy .* multiple of 4"),
        ([1, 2], {"coordinates": "xy", "swap": [[0, 1]]}, r"1 points .*swap names point 1"),
        ([], {"kind": "vector"}, "is empty"),
        (["a"], {"kind": "vector"}, "is not a list of numbers"),
        ([float("inf")], {"kind": "vector"}, "not finite"),
    ],
)
def test_vectors_that_do_not_fit_are_refused(value, options, text):
    with pytest.raises(DataError, match=f"Sample '0' of the test: field 'x' .*{text}.*Correct it"):
        probe([value], **options)


@pytest.mark.parametrize(
    ("value", "options", "text"),
    [
        (RGB, {"kind": "labels"}, r"shape \[8, 6, 3\]; a label map is"),
        (RGB.astype(float) + 0.5, {}, "float64 values from 0.5 to 0.5; .*value_range"),
        ([], {"kind": "image"}, "has no frames"),
    ],
)
def test_values_that_cannot_be_decoded_say_why(value, options, text):
    with pytest.raises(DataError, match=f"of the test has a readable 'x'; the first one .*{text}"):
        probe([value], **options)


def test_fields_that_are_not_there_or_cannot_be_set_are_refused():
    with pytest.raises(DataError, match="names 'sorce', but the samples .* Did you mean 'source'"):
        check_field_names(DataConfig(fields={"sorce": {}}), ["source"], "the test")
    with pytest.raises(DataError, match="data.fields.label cannot be set"):
        check_field_names(DataConfig(fields={"label": {}}), ["label"], "the test")
