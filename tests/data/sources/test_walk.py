import os

import pytest

from ganforge.data.sources.walk import walk


def kinds(folder):
    return {entry.name: entry.kind for entry in walk(folder)}


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def test_walk_gives_files_with_slashes_and_folders_and_enters_no_hidden_folder(tmp_path):
    for name in ("b/x/1.png", "a.png", ".git/config", "b/@eaDir/1.png", "b/.DS_Store"):
        touch(tmp_path / name)
    assert kinds(tmp_path) == {
        "a.png": "file",
        "b": "folder",
        "b/x": "folder",
        "b/x/1.png": "file",
        ".git": "hidden",
        "b/@eaDir": "hidden",
        "b/.DS_Store": "hidden",
    }


def test_walk_ends_where_links_form_a_loop(tmp_path):
    touch(tmp_path / "a" / "1.png")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "self").symlink_to("self")
    found = kinds(tmp_path)
    assert [name for name, kind in found.items() if kind == "file"] == ["a/1.png"]
    assert found["a/up"] == "linked"
    assert found["self"] == "broken"


@pytest.mark.parametrize("link", ["a_link", "z_link", "deep/link"])
def test_walk_reads_a_folder_and_not_the_links_to_it(tmp_path, link):
    touch(tmp_path / "cat" / "1.png")
    (tmp_path / "deep").mkdir()
    (tmp_path / link).symlink_to(tmp_path / "cat")
    found = kinds(tmp_path)
    assert found["cat/1.png"] == "file"
    assert found[link] == "linked"


def test_walk_reads_a_folder_outside_once_for_two_links(tmp_path):
    touch(tmp_path / "store" / "1.png")
    (tmp_path / "in").mkdir()
    for link in ("cat", "dog"):
        (tmp_path / "in" / link).symlink_to(tmp_path / "store")
    assert kinds(tmp_path / "in") == {"cat": "folder", "cat/1.png": "file", "dog": "linked"}


def test_walk_follows_links_to_files(tmp_path):
    touch(tmp_path / "store" / "1.png")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "1.png").symlink_to(tmp_path / "store" / "1.png")
    (tmp_path / "in" / "2.png").symlink_to("nowhere")
    assert kinds(tmp_path / "in") == {"1.png": "file", "2.png": "broken"}


def test_walk_names_what_would_block_a_reader(tmp_path):
    os.mkfifo(tmp_path / "1.png")
    assert kinds(tmp_path) == {"1.png": "special"}


def test_walk_names_a_folder_that_cannot_be_listed(tmp_path, unlistable):
    touch(tmp_path / "a" / "1.png")
    unlistable(tmp_path / "b")
    entries = {entry.name: entry for entry in walk(tmp_path)}
    assert entries["b"].kind == "unreadable"
    assert isinstance(entries["b"].error, PermissionError)
    assert entries["a/1.png"].kind == "file"


def test_walk_of_names_that_are_not_utf8_gives_them(tmp_path):
    (tmp_path / os.fsdecode(b"\xff.png")).touch()
    assert kinds(tmp_path) == {"\udcff.png": "file"}
