import pytest

from ganforge.data.sources.folder_layouts import layout_of


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["train2017", "val2017"], "splits"),
        (["train_images", "test_images"], "splits"),
        (["images_train", "images_val"], "splits"),
        (["DIV2K_train_HR", "DIV2K_valid_HR"], "splits"),
        (["training_set", "test_set"], "splits"),
        (["trainA", "trainB", "testA"], "splits"),
        (["images", "masks"], "parts of one data set"),
        (["JPEGImages", "SegmentationClass", "SegmentationObject"], "parts of one data set"),
        (["images1024x1024", "thumbnails128x128"], "parts of one data set"),
        (["input", "target"], "parts of one data set"),
        (["part1", "part2", "part10"], "counted parts"),
        (["New folder", "New folder (2)"], "counted parts"),
        (["64x64", "128x128"], "sizes"),
        (["256px", "512px"], "sizes"),
        (["2023-01-05", "2023-02-06"], "dates"),
        (["2019", "2020"], "dates"),
        (["20230105", "2023.01"], "dates"),
        (["100CANON", "101CANON"], "folders of a camera"),
        (["100APPLE", "101APPLE"], "folders of a camera"),
    ],
)
def test_layout_of_folders_that_are_no_classes(names, expected):
    assert str(layout_of(names)).startswith(expected)


@pytest.mark.parametrize(
    "names",
    [
        ["cat", "dog"],
        ["a", "b"],
        ["0", "1", "10"],
        ["1000", "1001"],
        ["12345678", "12345679"],
        ["train", "car", "bus"],
        ["test_tube", "test_strip"],
        ["images", "cat"],
        ["part", "whole"],
        ["256px", "cat"],
        ["2019", "cat"],
        ["100APPLE", "101CANON"],
        ["edges", "cat"],
        ["", "cat"],
    ],
)
def test_layout_of_classes_is_none(names):
    assert layout_of(names) is None
