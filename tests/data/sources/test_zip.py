import json
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
    with pytest.raises(DataError, match="'1.png' in .* unpacks to .*decompression bomb"):
        list(source("zip", path=bomb).samples())


@pytest.mark.parametrize("name", ["../../1.png", "/abs/1.png"])
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
    with pytest.raises(DataError, match="'1.png' in .* cannot be unpacked"):
        list(source("zip", path=str(path)).samples())
