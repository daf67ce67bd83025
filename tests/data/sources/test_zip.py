import json
import logging
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest

from ganforge.errors import DataError

RNG = np.random.default_rng(0)


def zip_of(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return str(path)


def test_zip_takes_folders_as_classes(tmp_path, helpers, source):
    data = helpers.file_bytes(np.zeros((4, 4, 3), np.uint8))
    path = zip_of(tmp_path / "a.zip", {"b/1.png": data, "a/1.png": data, "__MACOSX/._1.png": b""})
    found = source("zip", path=path)
    assert found.class_names() == ("a", "b")
    assert [(s.key, s.fields["label"], s.formats) for s in found.samples()] == [
        ("a+1,png", 0, {"image": "png"}),
        ("b+1,png", 1, {"image": "png"}),
    ]
    assert found.num_samples() == 2
    assert "label" not in next(source("zip", path=path, labels=False).samples()).fields


@pytest.mark.parametrize("top", ["all/", "my/data/"])
def test_zip_of_one_folder_has_the_classes_below_it(tmp_path, helpers, top, source):
    data = helpers.file_bytes(np.zeros((4, 4, 3), np.uint8))
    path = zip_of(tmp_path / "a.zip", {f"{top}b/1.png": data, f"{top}a/x/1.png": data})
    found = source("zip", path=path)
    assert found.class_names() == ("a", "b")
    assert [s.fields["label"] for s in found.samples()] == [0, 1]


def test_zip_of_one_class_has_it_when_asked(tmp_path, helpers, caplog, source):
    data = helpers.file_bytes(np.zeros((4, 4, 3), np.uint8))
    path = zip_of(tmp_path / "a.zip", {"all/a/1.png": data, "all/a/2.png": data})
    assert source("zip", path=path).class_names() == ()
    assert "if it is a class, set labels: true" in caplog.text
    assert source("zip", path=path, labels=True).class_names() == ("a",)


@pytest.mark.parametrize("top", ["", "all/", "my/data/"])
def test_zip_takes_labels_of_dataset_json(tmp_path, helpers, top, source):
    data = helpers.file_bytes(np.zeros((4, 4, 3), np.uint8))
    labels = json.dumps({"labels": [["0/1.png", 2], ["0/2.png", 0]]})
    files = {"0/1.png": data, "0/2.png": data, "dataset.json": labels}
    path = zip_of(tmp_path / "a.zip", {top + name: content for name, content in files.items()})
    found = source("zip", path=path)
    assert list(found.class_names()) == ["0", "1", "2"]
    assert [s.fields["label"] for s in found.samples()] == [2, 0]


def fault_of(path, source):
    (sample,) = source("zip", path=str(path)).samples()
    return sample.fault


def test_zip_faults_are_named(tmp_path, helpers, monkeypatch, source):
    data = helpers.file_bytes(np.zeros((4, 4, 3), np.uint8))
    (tmp_path / "no.zip").write_bytes(b"nothing")
    with pytest.raises(DataError, match="no.zip' is not a readable zip archive"):
        list(source("zip", path=str(tmp_path / "no.zip")).samples())
    empty = zip_of(tmp_path / "empty.zip", {"readme.txt": b""})
    with pytest.raises(DataError, match="empty.zip' holds no images"):
        list(source("zip", path=empty).samples())
    lacking = zip_of(
        tmp_path / "l.zip", {"1.png": data, "dataset.json": '{"labels": [["2.png", 0]]}'}
    )
    with pytest.raises(DataError, match="has no label for '1.png'.*Add it"):
        list(source("zip", path=lacking).samples())
    listed = json.dumps({"labels": [["1.png", 2_000_000_000]]})
    large = zip_of(tmp_path / "large.zip", {"1.png": data, "dataset.json": listed})
    with pytest.raises(DataError, match="dataset.json in .* label 2000000000, .* only 1 samples"):
        source("zip", path=large).class_names()
    wrong = zip_of(tmp_path / "w.zip", {"1.png": data, "dataset.json": "[1]"})
    with pytest.raises(DataError, match="is not a mapping with 'labels'"):
        list(source("zip", path=wrong).samples())
    monkeypatch.setattr("ganforge.data.sources.zip.MAX_FILE_BYTES", 10)
    bomb = zip_of(tmp_path / "bomb.zip", {"1.png": data})
    assert re.search("'1.png' in .* unpacks to .*decompression bomb", fault_of(bomb, source))


@pytest.mark.parametrize("name", ["../../1.png", "/abs/1.png", "..\\1.png"])
def test_zip_members_that_point_out_of_the_archive_are_refused(tmp_path, name, source):
    path = zip_of(tmp_path / "a.zip", {name: b"0", "b/2.png": b"0"})
    with pytest.raises(DataError, match="a.zip has a member '.*1.png', which points out of the"):
        source("zip", path=path).class_names()


def test_zip_with_a_damaged_member_names_it(tmp_path, helpers, source):
    data = helpers.file_bytes(RNG.integers(0, 256, (16, 16, 3), dtype=np.uint8))
    path = Path(zip_of(tmp_path / "a.zip", {"1.png": data}))
    content = bytearray(path.read_bytes())
    content[100] ^= 255
    path.write_bytes(content)
    assert re.search("'1.png' in .* cannot be unpacked", fault_of(path, source))


def test_zip_of_the_stylegan_tools_without_labels_has_no_classes(make_zip, source, caplog):
    files = {f"{n // 10:05d}/img{n:08d}.png": b"0" for n in range(24)}
    without = make_zip(files | {"dataset.json": '{"labels": null}'}, "null.zip")
    assert source("zip", path=without).class_names() == ()
    alone = make_zip(files, "alone.zip")
    assert source("zip", path=alone).class_names() == ()
    assert "divide a numbered sequence" in caplog.text
    assert len(source("zip", path=alone, labels=True).class_names()) == 3


def test_zip_from_other_systems_has_only_true_classes(make_zip, source, caplog):
    caplog.set_level(logging.INFO)
    hidden = (".ipynb_checkpoints", ".thumbnails", "@eaDir", "$RECYCLE.BIN", "__MACOSX", "cat/.git")
    files = {f"{name}/1.png": b"0" for name in ("cat", "dog", *hidden)}
    files |= {"Thumbs.db": b"0", "cat/._1.png": b"0"}
    assert source("zip", path=make_zip(files)).class_names() == ("cat", "dog")
    assert "8 hidden or system files or folders, e.g. '.ipynb_checkpoints'" in caplog.text


def test_zip_written_on_windows_has_its_folders(make_zip, source):
    path = make_zip({"cat\\1.png": b"0", "dog\\2.png": b"0"})
    found = source("zip", path=path)
    assert found.class_names() == ("cat", "dog")
    assert [s.key for s in found.samples()] == ["cat+1,png", "dog+2,png"]


@pytest.mark.parametrize("name", ["café", "cafe\u0301", "日本"])
def test_zip_with_names_in_utf8_that_are_not_declared_so_has_them(make_zip, source, name):
    path = make_zip({f"{name}/1.png": b"0", "thé/2.png": b"0"})
    data = bytearray(Path(path).read_bytes())
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):  # clear the flag of UTF-8
        begin = data.find(signature)
        while begin >= 0:
            data[begin + offset + 1] &= ~8
            begin = data.find(signature, begin + 1)
    Path(path).write_bytes(data)
    classes = source("zip", path=path).class_names()
    assert set(classes) == {name.replace("e\u0301", "é"), "thé"}


def test_zip_members_without_an_extension_are_used_by_their_content(make_zip, helpers, source):
    data = helpers.file_bytes(np.zeros((4, 4, 3), np.uint8))
    found = source("zip", path=make_zip({"cat/1": data, "dog/2.x": data, "dog/3.x": b"text"}))
    assert [s.fields["label"] for s in found.samples()] == [0, 1]


def test_zip_reports_what_it_leaves_out(make_zip, source, caplog):
    caplog.set_level(logging.INFO)
    files = {"cat/1.png": b"0", "dog/1.jxl": b"0", "cat/more.tar": b"0", "cat/1.txt": b"0"}
    assert source("zip", path=make_zip(files)).num_samples() == 1
    assert "without a usable image: 'dog' (holds only .jxl 1)" in caplog.text
    assert "1 archives (.tar 1), e.g. 'cat/more.tar': unpack them" in caplog.text
    assert "1 other files (.txt 1)" in caplog.text


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_zip_with_two_members_of_one_name_uses_the_last(tmp_path, source, caplog):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("1.png", b"old")
        archive.writestr("1.png", b"new")
    (sample,) = source("zip", path=str(tmp_path / "a.zip")).samples()
    assert sample.fields["image"] == b"new"
    assert "1 members that a later one of the same name replaces, e.g. '1.png'" in caplog.text


def test_zip_that_is_encrypted_says_so_at_once(make_zip, source):
    path = Path(make_zip({"1.png": b"0", "2.png": b"0"}))
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\1\2") + 8] |= 1
    data[6] |= 1
    path.write_bytes(data)
    with pytest.raises(
        DataError, match="'1.png' in .* is encrypted. Unpack the archive with its p"
    ):
        source("zip", path=str(path)).class_names()


def test_zip_with_an_unknown_compression_says_how_to_write_it(make_zip, source):
    path = Path(make_zip({"1.png": b"0"}))
    data = bytearray(path.read_bytes())
    data[8] = data[data.index(b"PK\1\2") + 10] = 98  # PPMd
    path.write_bytes(data)
    assert re.search("cannot be unpacked .*usual compression", fault_of(path, source))


def test_zip_whose_directory_lost_a_file_is_refused(make_zip, source):
    path = Path(make_zip({"1.png": b"0", "2.png": b"0"}))
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\1\2") + 32] = 51  # a comment that swallows the second entry
    path.write_bytes(data)
    with pytest.raises(DataError, match="lists 2 files, but only 1 can be found: it is damaged"):
        list(source("zip", path=str(path)).samples())


def test_zip_whose_directory_hides_a_file_is_refused(make_zip, source):
    path = Path(make_zip({"1.png": b"0", "n2.png": b"0"}))
    data = path.read_bytes()
    place = data.rindex(b"n2.png")
    path.write_bytes(data[:place] + b"." + data[place + 1 :])
    with pytest.raises(DataError, match="'.2.png' in .* cannot be unpacked .*differ"):
        list(source("zip", path=str(path)).samples())


def test_zip_with_a_comment_is_read(make_zip, source):
    path = make_zip({"1.png": b"0"})
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"hello" * 100
    assert source("zip", path=path).num_samples() == 1


def test_zip_that_is_missing_names_the_folder_looked_in(tmp_path, monkeypatch, source):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="path='no.zip' does not exist .looked in .*. Correct"):
        source("zip", path="no.zip").class_names()


def test_zip_keys_of_like_names_differ(make_zip, source):
    found = source("zip", path=make_zip({"img.1.png": b"0", "img_1.png": b"0", "img/1.png": b"0"}))
    assert len({s.key for s in found.samples()}) == 3


def test_zip_with_bytes_before_and_after_it_is_read(make_zip, source):
    path = Path(make_zip({"a/1.png": b"0", "b/2.png": b"0"}))
    path.write_bytes(b"#!/bin/sh\n" * 9 + path.read_bytes() + bytes(100))
    assert source("zip", path=str(path)).class_names() == ("a", "b")


def test_zip_of_a_mac_with_more_files_than_its_count_can_hold_is_read(
    make_zip, source, monkeypatch
):
    path = make_zip({f"{number}.png": b"" for number in range(3)})
    counted = "ganforge.data.sources.zip._num_entries"
    monkeypatch.setattr(counted, lambda archive: 3 + 0x10000)
    assert source("zip", path=path).num_samples() == 3
    monkeypatch.setattr(counted, lambda archive: 4)
    with pytest.raises(DataError, match="lists 4 files, but only 3"):
        list(source("zip", path=path).samples())


def test_zip_counts_links_and_names_empty_classes_as_a_folder_does(
    tmp_path, helpers, caplog, source
):
    data = helpers.file_bytes(np.zeros((4, 4, 3), np.uint8))
    path = zip_of(tmp_path / "a.zip", {"a/1.png": data, "b/1.png": data, "c/": b""})
    with zipfile.ZipFile(path, "a") as archive:
        link = zipfile.ZipInfo("a/2.png")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "1.png")
    assert source("zip", path=path).num_samples() == 2
    assert "1 links in an archive, e.g. 'a/2.png'" in caplog.text
    assert "without a usable image: 'c' (holds no file)" in caplog.text


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"<!doctype html>", "it is a web page"),
        (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        (b"7z\xbc\xaf\x27\x1c", "it is a 7z archive"),
        (b"PK\x07\x08", "File is not a zip file"),
    ],
)
def test_zip_that_is_another_file_says_what_it_is(tmp_path, content, fault, source):
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(DataError, match=f"is not a readable zip archive .*{fault}"):
        source("zip", path=str(tmp_path / "a.zip")).num_samples()
