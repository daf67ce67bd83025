import os
import random
import unicodedata

import pytest

from ganforge.data.sources.class_names import (
    class_name,
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
    ("names", "expected"),
    [
        (["1", "01", "001"], ["001", "01", "1"]),
        (["a1", "a01"], ["a01", "a1"]),
        (["cat", "Cat", "CAT"], ["CAT", "Cat", "cat"]),
        (["9" * 5000, "1" + "0" * 5000], ["9" * 5000, "1" + "0" * 5000]),
        (["cafe\u0301", "café"], ["cafe\u0301", "café"]),
        (["cafz", "cafe\u0301"], ["cafz", "cafe\u0301"]),
        (["٣", "²", "5"], ["5", "²", "٣"]),
    ],
)
def test_natural_order_of_names_that_tie_is_fixed(names, expected):
    for seed in range(5):
        shuffled = random.Random(seed).sample(names, len(names))
        assert sorted(shuffled, key=natural_order) == expected


def test_natural_order_is_total_over_any_names():
    rng = random.Random(0)
    names = ["".join(rng.choices("aA0 1\u0301é_./", k=rng.randint(0, 6))) for _ in range(3000)]
    names = sorted(set(names))
    once = sorted(names, key=natural_order)
    rng.shuffle(names)
    assert sorted(names, key=natural_order) == once


def test_class_name_of_a_file_name_that_is_not_utf8_can_be_written():
    assert class_name(os.fsdecode(b"caf\xe9")) == "café"
    assert class_name("日本\ud800") == "日本?"


def test_class_name_is_composed_whatever_system_wrote_it():
    assert class_name(unicodedata.normalize("NFD", "café")) == "café"
    assert occurring_classes({"cafe\u0301": "here", "café": "there", "b": "x"}, 3) == ("b", "café")


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
