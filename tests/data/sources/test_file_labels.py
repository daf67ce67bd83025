import json
import logging
from pathlib import PurePosixPath

import pytest

from ganforge.data.sources.file_labels import (
    FileLabels,
    Listed,
    file_labels,
    folder_label_file,
    read_label_file,
    shared_top,
)
from ganforge.errors import DataError

DECOMPOSED = "cafe\u0301"


def numbered(folders, count, step=1, name="img{:08d}.png"):
    """Files with numbers that go on from folder to folder, as the StyleGAN tools write them."""
    return [f"{index // count * step:05d}/{name.format(index)}" for index in range(folders * count)]


@pytest.mark.parametrize(
    ("files", "labels", "expected"),
    [
        (["b/1.png", "a10/1.png", "a9/x/1.png"], None, ("a9", "a10", "b")),
        (["b/1.png", "a/1.png"], False, ()),
        (["1.png", "a/1.png"], None, ()),
        (["a/1.png"], None, ()),
        (["a/1.png"], True, ("a",)),
        (["1.png"], None, ()),
        (["0/1.png", "1/1.png"], None, ("0", "1")),
        (["a/1.png", "b/"], None, ("a", "b")),
    ],
)
def test_folder_classes_are_the_first_folders_where_that_is_plain(files, labels, expected):
    found = file_labels(files, labels, "here")
    assert found.names == expected
    assert found.of == {name: expected.index(name.partition("/")[0]) for name in files if expected}


@pytest.mark.parametrize(
    "files",
    [
        numbered(3, 10),
        numbered(3, 1000)[:-7],
        numbered(4, 5, step=1000, name="{:05d}.png"),  # as FFHQ is
        [*numbered(2, 10), "00002/"],
    ],
)
def test_folders_that_divide_a_numbered_sequence_are_no_classes(files, caplog):
    assert file_labels(files, None, "here") == FileLabels()
    assert "No classes: the folders '00000', '0" in caplog.text
    assert "if they are, set labels: true (source.labels=true)" in caplog.text
    assert len(file_labels(files, True, "here").names) >= 3


@pytest.mark.parametrize(
    "files",
    [
        ["00000/1.png", "00000/2.png", "00001/1.png", "00001/2.png"],  # numbers begin again
        ["00000/a1.png", "00001/cat.png"],
        ["0/1.png", "1/2.png"],
        ["00000/1.png", "cat/2.png"],
    ],
)
def test_folders_with_numbers_that_are_no_sequence_are_classes(files):
    assert len(file_labels(files, None, "here").names) == 2


@pytest.mark.parametrize(
    "tops", [("train", "val"), ("Train", "TEST"), ("trainA", "trainB", "testA", "testB")]
)
def test_splits_are_no_classes(tops, caplog):
    assert file_labels([f"{top}/1.png" for top in tops], None, "here").names == ()
    assert "look like splits, not classes. Point the path to the one to use" in caplog.text


def test_train_beside_other_folders_is_a_class():
    assert file_labels(["train/1.png", "car/1.png"], None, "here").names == ("car", "train")


def test_folders_with_loose_images_are_no_classes_and_say_so(caplog):
    assert file_labels(["1.png", "a/1.png", "b/1.png"], None, "here").names == ()
    assert (
        "No classes: 1 images of here lie outside of its sub-folders, e.g. '1.png'" in caplog.text
    )


def test_classes_are_logged_with_their_counts_and_how_to_ignore_them(caplog):
    caplog.set_level(logging.INFO)
    file_labels(["b/1.png", "a/1.png", "b/2.png", "c/"], None, "here")
    assert (
        "3 classes from folders of here: a (1), b (2), c (0). To ignore them, set labels: false "
        "(source.labels=false)." in caplog.text
    )


def test_many_classes_are_logged_in_part(caplog):
    caplog.set_level(logging.INFO)
    file_labels([f"c{n}/1.png" for n in range(20)], None, "here")
    assert "20 classes from folders of here: c0 (1), c1 (1)" in caplog.text
    assert "c7 (1), .... To" in caplog.text


def test_one_class_in_two_unicode_forms_is_one_and_says_so(caplog):
    files = [f"{DECOMPOSED}/1.png", "café/2.png", "b/3.png"]
    found = file_labels(files, None, "here")
    assert found.names == ("b", "café")
    assert [found.of[name] for name in files] == [1, 1, 0]
    assert "2 folders of here have names that differ only in how Unicode is composed" in caplog.text


def test_classes_that_differ_only_in_case_or_spaces_are_named(caplog):
    file_labels(["Cat/1.png", "cat/1.png", "dog/1.png", "dog /1.png"], None, "here")
    assert "The classes 'Cat' and 'cat' differ only in case or spaces" in caplog.text
    assert "The classes 'dog' and 'dog ' differ only" in caplog.text


@pytest.mark.parametrize("top", ["", "all", "my/data"])
def test_classes_lie_below_the_folder_of_the_archive(top):
    files = [str(PurePosixPath(top, name)) for name in ("a/1.png", "b/x/1.png")]
    assert shared_top(files) == top
    assert file_labels(files, None, "here", top=top).names == ("a", "b")


def test_shared_top_of_one_class_is_above_it():
    assert shared_top(["all/a/1.png", "all/a/2.png"]) == "all"


def test_labels_true_of_loose_images_says_what_to_do():
    with pytest.raises(DataError, match="'1.png' in here lies outside of the class sub-folders"):
        file_labels(["1.png", "a/1.png"], True, "here")
    with pytest.raises(DataError, match="here has no class sub-folders.*labels: false"):
        file_labels(["1.png"], True, "here")


def test_label_file_with_null_labels_means_no_classes(caplog):
    caplog.set_level(logging.INFO)
    listed = Listed("dataset.json", {})
    files = ["cat/1.png", "dog/2.png"]
    assert file_labels(files, None, "here", listed) == FileLabels()
    assert "No classes: the labels in dataset.json of here are null" in caplog.text
    assert file_labels(files, True, "here", listed).names == ("cat", "dog")


def test_label_file_has_the_labels_whatever_the_folders():
    listed = Listed("dataset.json", {"cat/1.png": 2, "café/2.png": 0})
    found = file_labels(["cat/1.png", f"{DECOMPOSED}/2.png"], None, "here", listed)
    assert found.names == ("0", "1", "2")
    assert list(found.of.values()) == [2, 0]
    assert file_labels(["cat/1.png"], False, "here", listed) == FileLabels()


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        ({"2.png": 0}, r"dataset.json in here has no label for '1.png' \(1 images have none\)"),
        ({"1.png": -1}, "dataset.json in here has the label -1"),
        ({"1.png": 2_000_000_000}, "has the label 2000000000, but there are only 1 samples"),
    ],
)
def test_label_file_that_does_not_fit_is_refused(labels, text):
    with pytest.raises(DataError, match=text):
        file_labels(["1.png"], None, "here", Listed("dataset.json", labels))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"labels": [["a/1.png", 3]]}, {"in/a/1.png": 3}),
        ({"labels": {"a/1.png": "3"}}, {"in/a/1.png": 3}),
        ({"labels": [["a\\1.png", 3.0]]}, {"in/a/1.png": 3}),  # written on Windows
        ({"labels": [[f"{DECOMPOSED}.png", 0]]}, {"in/café.png": 0}),
        ({"labels": None}, {}),
        ({"labels": []}, {}),
    ],
)
def test_label_file_may_have_several_forms(content, expected):
    files = {"in/dataset.json": json.dumps(content).encode()}
    found = read_label_file([PurePosixPath("in"), PurePosixPath()], files.get, "x.zip")
    assert found == Listed("in/dataset.json", expected)


def test_label_file_of_another_tool_is_ignored():
    assert read_label_file([PurePosixPath()], {"dataset.json": b"{}"}.get, "x.zip") is None
    assert read_label_file([PurePosixPath()], lambda _: None, "x.zip") is None


@pytest.mark.parametrize(
    "content",
    [b"[1]", b"{", b"\xff", b'{"labels": 5}', b'{"labels": [["a", 0.5]]}', b'{"labels": [["a"]]}']
    + [b'{"labels": [["a", [0, 1]]]}', b'{"labels": [["a", true]]}', b'{"labels": [["a", 1e999]]}']
    + [b"[" * 100_000, b'{"labels": [[3, 0]]}'],
)
def test_label_file_that_is_damaged_is_refused(content):
    with pytest.raises(
        DataError, match="dataset.json in x.zip is not a mapping with 'labels'.*fal"
    ):
        read_label_file([PurePosixPath()], {"dataset.json": content}.get, "x.zip")


def test_label_file_of_a_folder_is_read_unless_labels_are_off(tmp_path):
    assert folder_label_file(tmp_path, None) is None
    (tmp_path / "dataset.json").write_text('{"labels": [["1.png", 1]]}')
    assert folder_label_file(tmp_path, None) == Listed("dataset.json", {"1.png": 1})
    assert folder_label_file(tmp_path, False) is None


def test_label_file_of_a_folder_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "dataset.json").mkdir()
    with pytest.raises(DataError, match="dataset.json cannot be read .*labels: false"):
        folder_label_file(tmp_path, None)
