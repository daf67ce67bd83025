import pytest
from pydantic import ValidationError

from ganforge.config.data import DataConfig, FieldConfig


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({}, None),
        ({"kind": "image"}, "image"),
        ({"num_labels": 0}, "labels"),
        ({"value_range": (0, 1)}, "image"),
        ({"coordinates": "xy"}, "vector"),
        ({"kind": "vector", "swap": [[0, 1]]}, "vector"),
    ],
)
def test_kind_of_a_field_is_given_or_implied(options, kind):
    assert FieldConfig(**options).known_kind == kind


@pytest.mark.parametrize(
    "options", [{"kind": "image", "num_labels": 0}, {"channels": 1, "coordinates": "xy"}]
)
def test_options_of_two_kinds_are_refused(options):
    with pytest.raises(ValidationError, match="num_labels for labels, coordinates and swap"):
        FieldConfig(**options)


def test_value_range_of_one_value_is_refused():
    with pytest.raises(ValidationError, match="needs two different values"):
        FieldConfig(value_range=(1, 1))


def test_stored_size_is_that_from_which_crops_are_cut():
    assert DataConfig(resolution=256).stored_size == (256, 256)
    assert DataConfig(resolution=256, crop={"from": [286, 300]}).stored_size == (286, 300)
    assert DataConfig().stored_size is None
