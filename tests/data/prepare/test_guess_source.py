import pytest

from ganforge.data.prepare.guess_source import guess_source
from ganforge.data.sources.image_files import image_files
from ganforge.errors import DataError


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("photos", {"name": "folder", "path": "photos"}),
        ("a.zip", {"name": "zip", "path": "a.zip"}),
        ("a.MP4", {"name": "video", "path": "a.MP4"}),
        ("films", {"name": "video", "path": "films"}),
        ("rows.CSV", {"name": "manifest", "path": "rows.CSV"}),
        ("shards/{0..9}.tar", {"name": "webdataset", "urls": "shards/{0..9}.tar"}),
        ("photos/x.tgz", {"name": "webdataset", "urls": "photos/x.tgz"}),
        ("X.TAR", {"name": "webdataset", "urls": "X.TAR"}),
        ("x.tbz2", {"name": "webdataset", "urls": "x.tbz2"}),
        ("t.parquet", {"name": "hf", "path": "parquet", "data_files": "t.parquet"}),
        ("rows.tsv", {"name": "manifest", "path": "rows.tsv"}),
        ("photos/*.tar.gz", {"name": "webdataset", "urls": "photos/*.tar.gz"}),
        ("https://host/x.tar", {"name": "webdataset", "urls": "https://host/x.tar"}),
        ("org/name", {"name": "hf", "path": "org/name"}),
        ("fashion_mnist", {"name": "fashion_mnist"}),
        (
            "t-images-idx3-ubyte.gz",
            {
                "name": "idx",
                "images": "t-images-idx3-ubyte.gz",
                "labels": "t-labels-idx1-ubyte.gz",
            },
        ),
    ],
)
def test_guess_source_knows_each_kind(tmp_path, monkeypatch, location, expected):
    monkeypatch.chdir(tmp_path)
    for folder in ("photos", "films"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "clip.mp4").touch()
    (tmp_path / "photos" / "1.png").touch()
    for name in ("t.parquet", "rows.tsv"):
        (tmp_path / name).touch()
    for name in ("a.zip", "a.MP4", "rows.CSV", "t-images-idx3-ubyte.gz", "t-labels-idx1-ubyte.gz"):
        (tmp_path / name).touch()
    assert guess_source(location) == expected


def test_folder_of_idx_files_names_the_file_to_give(tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "t10k-images-idx3-ubyte").touch()
    with pytest.raises(DataError, match="but IDX files. Name the file .*t10k-images-idx3-ubyte"):
        image_files(tmp_path, "path")


def test_guess_source_lists_what_is_possible():
    with pytest.raises(DataError, match="'fashion_mnst' is not a folder.*'fashion_mnist'"):
        guess_source("fashion_mnst")


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("photos/nowhere", "no 'photos/nowhere': the folder 'photos' has no 'nowhere'.*path.*Hub"),
        ("gone/list.csv", "no 'gone/list.csv': the folder 'gone' does not exist. Correct the path"),
    ],
)
def test_guess_source_does_not_ask_the_hub_for_a_mistyped_path(
    tmp_path, monkeypatch, location, expected
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    with pytest.raises(DataError, match=expected):
        guess_source(location)


@pytest.mark.parametrize("address", ["https://host/a.zip", "https://host/list.csv?raw=1"])
def test_address_of_what_is_no_tar_says_to_download_it(address):
    with pytest.raises(DataError, match="is the address of a .* Download it first"):
        guess_source(address)


def test_one_image_names_its_folder(tmp_path):
    (tmp_path / "1.png").touch()
    with pytest.raises(DataError, match=f"is one image. Name the folder .*: {tmp_path}"):
        guess_source(str(tmp_path / "1.png"))


def test_place_that_is_missing_says_where_it_was_looked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=f"There is no such file .looked in {tmp_path}"):
        guess_source("gone.png")
