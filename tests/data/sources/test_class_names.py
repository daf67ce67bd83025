import pytest

from ganforge.data.sources.class_names import (
    count_classes,
    folder_classes,
    natural_order,
    numbered_classes,
    occurring_classes,
)
from ganforge.errors import DataError


def test_natural_order_sorts_numbers_by_value():
    names = ["b", "a10", "a9", "10", "9", "a"]
    assert sorted(names, key=natural_order) == ["9", "10", "a", "a9", "a10", "b"]


@pytest.mark.parametrize(
    ("files", "labels", "expected"),
    [
        (["b/1.png", "a10/1.png", "a9/x/1.png"], None, ("a9", "a10", "b")),
        (["b/1.png", "a/1.png"], False, ()),
        (["1.png", "a/1.png"], None, ()),
        (["a/1.png"], None, ()),
        (["a/1.png"], True, ("a",)),
        (["1.png"], None, ()),
    ],
)
def test_folder_classes_are_the_first_folders_where_that_is_plain(files, labels, expected):
    assert folder_classes(files, labels, "here") == expected


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
