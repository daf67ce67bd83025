import os
from pathlib import Path

import pytest

from ganforge.data.shards.index import load_index
from ganforge.data.shards.output_folder import check_apart, new_folder
from ganforge.data.shards.verify import verify_shards
from ganforge.errors import DataError


@pytest.fixture
def write(helpers):
    """Writes a data set of some images into a new folder."""

    def write_shards(out, count=4, overwrite=False):
        with new_folder(out, overwrite) as folder:
            helpers.write_dataset(folder, count)

    return write_shards


def samples(out):
    assert verify_shards(str(out)).is_sound
    return load_index(str(out)).num_samples()


@pytest.mark.parametrize("overwrite", [False, True])
def test_full_folder_without_a_data_set_is_refused(write, tmp_path, overwrite):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").touch()
    with pytest.raises(DataError, match="out already exists and is not empty. Delete it"):
        write(tmp_path / "out", overwrite=overwrite)
    assert os.listdir(tmp_path / "out") == ["thesis.tex"]


def test_data_set_is_replaced_only_with_overwrite(write, tmp_path):
    (tmp_path / "out").mkdir()
    write(tmp_path / "out")
    with pytest.raises(DataError, match="already exists"):
        write(tmp_path / "out", 5)
    assert samples(tmp_path / "out") == 4
    write(tmp_path / "out", 5, overwrite=True)
    assert samples(tmp_path / "out") == 5
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("name", ["mynotes.txt", "nested/index.json"])
def test_data_set_with_foreign_entries_is_not_replaced(write, tmp_path, name):
    write(tmp_path / "out")
    (tmp_path / "out" / name).parent.mkdir(exist_ok=True)
    (tmp_path / "out" / name).touch()
    said = f"out is not overwritten: it holds '{name.split('/')[0]}', .* Remove it, or choose"
    with pytest.raises(DataError, match=said):
        write(tmp_path / "out", overwrite=True)
    assert (tmp_path / "out" / name).exists()
    assert samples(tmp_path / "out") == 4


def test_data_set_with_a_damaged_index_is_not_replaced(write, tmp_path):
    write(tmp_path / "out")
    (tmp_path / "out" / "index.json").write_text("{}")
    with pytest.raises(DataError, match="no way to tell.* Or delete the folder"):
        write(tmp_path / "out", overwrite=True)
    assert (tmp_path / "out" / "main-000000.tar").exists()


def test_later_of_two_writers_is_refused_and_the_first_stays(write, tmp_path):
    with (
        pytest.raises(DataError, match="put in place while .*out already exists"),
        new_folder(tmp_path / "out", overwrite=False) as folder,
    ):
        (folder / "mine").touch()
        write(tmp_path / "out")
        assert os.listdir(folder) == ["mine"]
    assert samples(tmp_path / "out") == 4
    assert os.listdir(tmp_path) == ["out"]


def test_later_of_two_writers_replaces_with_overwrite(write, helpers, tmp_path):
    write(tmp_path / "out", 3)
    with new_folder(tmp_path / "out", overwrite=True) as folder:
        helpers.write_dataset(folder, 5)
        write(tmp_path / "out", 4, overwrite=True)
    assert samples(tmp_path / "out") == 5
    assert os.listdir(tmp_path) == ["out"]


def test_writer_that_loses_the_last_rename_says_so(write, tmp_path, monkeypatch):
    write(tmp_path / "out")
    monkeypatch.setattr("ganforge.data.shards.output_folder._check_free", lambda *args: None)
    with pytest.raises(DataError, match="Another process wrote .*out at the same time"):
        write(tmp_path / "out", 5)
    assert samples(tmp_path / "out") == 4
    assert os.listdir(tmp_path) == ["out"]


def test_failed_rename_brings_the_old_data_back(write, tmp_path, monkeypatch):
    write(tmp_path / "out")
    rename = Path.rename

    def fail(path, target):
        if ".partial-" in path.name:
            raise OSError("no room")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(DataError, match="cannot be written to .*no room"):
        write(tmp_path / "out", 5, overwrite=True)
    assert samples(tmp_path / "out") == 4


def test_unwritable_place_names_the_option(write, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be written to .*data.shards"):
        write(tmp_path / "file" / "out")


def test_full_disk_names_the_option_and_leaves_nothing(write, small_disk):
    disk = small_disk("8k")
    with pytest.raises(DataError, match="No space left .*enough room in data.shards"):
        write(disk / "out", 20)
    assert os.listdir(disk) == []


def test_remote_folder_is_refused(write):
    with pytest.raises(DataError, match="local folder, not to https://host/x. Prepare into"):
        write("https://host/x")


@pytest.mark.parametrize(("read", "written"), [("a", "a/b"), ("a/b", "a"), ("file:a", "a/b/c")])
def test_check_apart_refuses_a_folder_in_the_other(tmp_path, monkeypatch, read, written):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="lies in .*Choose an OUT beside"):
        check_apart(read, written)


@pytest.mark.parametrize(("read", "written"), [("a", "a"), ("a", "ab"), ("https://a", "a")])
def test_check_apart_accepts_other_folders_and_the_same(tmp_path, monkeypatch, read, written):
    monkeypatch.chdir(tmp_path)
    check_apart(read, written)
