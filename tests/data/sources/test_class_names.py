import pytest

from ganforge.data.sources.class_names import (
    count_classes,
    natural_order,
    numbered_classes,
    occurring_classes,
)
from ganforge.errors import DataError


def test_natural_order_sorts_numbers_by_value():
    names = ["b", "a10", "a9", "10", "9", "a"]
    assert sorted(names, key=natural_order) == ["9", "10", "a", "a9", "a10", "b"]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["dog", "cat", "3"], ("3", "cat", "dog")),
        (["2", "0"], ("0", "1", "2")),
        (["007"], tuple(map(str, range(8)))),
    ],
)
def test_occurring_classes_are_names_or_class_indices(labels, expected):
    assert occurring_classes(dict.fromkeys(labels, "here"), len(labels)) == expected


@pytest.mark.parametrize("label", ["-1", "2000000000", "9" * 5000])
def test_number_that_can_be_no_class_index_is_refused_with_its_place(label):
    with pytest.raises(DataError, match=r"Row 3 has the label .*only 2 samples.*name them"):
        occurring_classes({"0": "Row 1", label: "Row 3"}, 2)


def test_numbered_classes_count_from_0_to_the_largest():
    assert numbered_classes(2, 5, "here") == ("0", "1", "2")
    assert count_classes("0099", 5, "here") == 100
