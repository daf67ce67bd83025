import logging
import os
import random
from pathlib import Path

import pytest
from PIL import Image

from ganforge.data.sources.image_files import (
    EXTENSIONS,
    check_inside,
    image_files,
    key_of,
    looked_in,
)
from ganforge.errors import DataError
from ganforge.imaging.codec import decode_image

PNG = b"\x89PNG\r\n\x1a\n"


def fill(folder, *names, content=b""):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_image_files_are_found_in_sub_folders_in_natural_order(tmp_path):
    fill(tmp_path, "10.png", "9.JPG", "a/1.webp", ".hidden/2.png", ".3.png", "notes.txt")
    assert image_files(tmp_path, "path") == ["9.JPG", "10.png", "a/1.webp"]


@pytest.mark.parametrize("suffix", sorted(EXTENSIONS))
def test_image_files_take_every_extension_in_any_case(tmp_path, suffix):
    fill(tmp_path, f"a{suffix}", f"b{suffix.upper()}")
    assert len(image_files(tmp_path, "path")) == 2


@pytest.mark.parametrize("suffix", sorted(EXTENSIONS))
def test_every_extension_is_of_a_format_that_is_decoded(tmp_path, suffix):
    kind = Image.registered_extensions().get(suffix, "JPEG")
    path = tmp_path / f"1{suffix}"
    Image.new("1" if suffix == ".pbm" else "RGB", (4, 4)).save(path, kind)
    assert decode_image(path).shape[:2] == (4, 4)


def test_extensions_are_all_that_pillow_knows_of_the_formats():
    formats = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM")
    known = {suffix for suffix, kind in Image.registered_extensions().items() if kind in formats}
    assert known - {".pfm"} <= EXTENSIONS  # floats


def test_placeholders_of_the_cloud_are_reported_as_a_loss(tmp_path, caplog):
    fill(tmp_path, "1.png", ".2.jpg.icloud", "a/3.png.icloud")
    assert image_files(tmp_path, "path") == ["1.png"]
    assert "2 placeholders of files in the cloud, e.g. '.2.jpg.icloud': download" in caplog.text
    assert caplog.records[-1].levelno == logging.WARNING


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("a/x.parquet", "hf, path: parquet, data_files: .*x.parquet"),
        ("list.csv", "manifest, path: .*list.csv"),
        ("x.tar.gz", r"webdataset, urls: .*\*.tar.gz"),
    ],
)
def test_folder_with_other_data_names_their_source(tmp_path, name, source):
    fill(tmp_path, name)
    with pytest.raises(DataError, match=f"holds no images, but .*{{name: {source}}}"):
        image_files(tmp_path, "path")


def test_image_files_report_formats_that_cannot_be_read_by_extension(tmp_path, caplog):
    fill(tmp_path, "cat/1.png", "cat/2.jxl", "dog/1.JXL", "dog/2.heic", "dog/3.jp2")
    assert image_files(tmp_path, "path") == ["cat/1.png"]
    assert "without a usable image: 'dog' (holds only .jxl 1, .heic 1, .jp2 1)" in caplog.text
    assert "4 images in formats that cannot be read (.jxl 2, .heic 1, .jp2 1)" in caplog.text


@pytest.mark.parametrize("name", ["0001", "photo.jpg_large", "a.b", "1.png@2x", "x.jpg;v=1"])
def test_image_file_without_an_image_extension_is_used_by_its_content(tmp_path, caplog, name):
    caplog.set_level(logging.INFO)
    fill(tmp_path, "1.png", f"x/{name}", content=PNG + bytes(24))
    assert image_files(tmp_path, "path") == ["1.png", f"x/{name}"]
    assert f"1 files of {tmp_path} without an image extension are images" in caplog.text


def test_foreign_image_without_an_extension_is_reported(tmp_path, caplog):
    fill(tmp_path, "1.png")
    fill(tmp_path, "0001", content=b"\0\0\0\x1cftypheic")
    assert image_files(tmp_path, "path") == ["1.png"]
    assert "1 images in formats that cannot be read (no extension 1)" in caplog.text


@pytest.mark.parametrize("name", ["2.png.part", "2.jpg.crdownload", "2.png~", "2.png.bak", "2.tmp"])
def test_unfinished_downloads_and_backups_are_reported_not_used(tmp_path, caplog, name):
    fill(tmp_path, "1.png", name, content=PNG + bytes(24))
    assert image_files(tmp_path, "path") == ["1.png"]
    assert f"1 backups or unfinished downloads, e.g. '{name}': rename those" in caplog.text


def test_sidecar_files_are_counted_without_being_opened(tmp_path, caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    fill(tmp_path, "1.png", "1.txt", "2.txt", "1.json")
    monkeypatch.setattr("ganforge.data.sources.image_files._head", None)
    assert image_files(tmp_path, "path") == ["1.png"]
    assert "3 other files (.txt 2, .json 1), e.g. '1.json'" in caplog.text


def test_tables_and_archives_beside_the_images_are_named_with_their_source(tmp_path, caplog):
    fill(tmp_path, "1.png", "metadata.csv", "more.zip")
    assert image_files(tmp_path, "path") == ["1.png"]
    assert "1 tables, which this source does not read, e.g. 'metadata.csv': if they" in caplog.text
    assert "1 archives (.zip 1), e.g. 'more.zip': unpack them, or use them as a s" in caplog.text


def test_image_files_are_arrays_only_where_there_are_no_images(tmp_path):
    fill(tmp_path, "a/1.npy", "a/2.NPY")
    assert image_files(tmp_path, "path") == ["a/1.npy", "a/2.NPY"]
    fill(tmp_path, "1.png")
    assert image_files(tmp_path, "path") == ["1.png"]


def test_folder_that_cannot_be_listed_is_refused_or_kept_as_a_bad_sample(tmp_path, unlistable):
    fill(tmp_path, "a/1.png")
    unlistable(tmp_path / "b")
    with pytest.raises(DataError, match="Folder .*b cannot be read .*denied.* Correct its perm"):
        image_files(tmp_path, "path")
    assert image_files(tmp_path, "path", keep_unreadable=True) == ["a/1.png", "b/"]


def test_folder_that_cannot_be_listed_at_all_is_refused(tmp_path, unlistable):
    unlistable(tmp_path / "b")
    with pytest.raises(DataError, match="Folder .*b cannot be read"):
        image_files(tmp_path / "b", "path", keep_unreadable=True)


def test_broken_link_to_an_image_is_a_bad_sample_and_a_pipe_is_left_out(tmp_path, caplog):
    (tmp_path / "1.png").symlink_to("nowhere")
    os.mkfifo(tmp_path / "2.png")
    assert image_files(tmp_path, "path") == ["1.png"]
    assert "1 pipes or devices, e.g. '2.png'" in caplog.text


def test_linked_folder_is_read_once_and_reported(tmp_path, caplog):
    fill(tmp_path, "a/1.png")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert image_files(tmp_path, "path") == ["a/1.png"]
    assert "1 folders that are read under another name, e.g. 'b'" in caplog.text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("train-images-idx3-ubyte.gz", "IDX files. .*name: idx, images: "),
        ("0.tar", r"tar files. .*name: webdataset, urls: .*/\*\.tar"),
        ("a/0.zip", "zip archives. .*name: zip, path: "),
    ],
)
def test_image_files_of_a_folder_with_other_data_names_the_source(tmp_path, name, text):
    fill(tmp_path, name)
    with pytest.raises(DataError, match=f"holds no images, but {text}"):
        image_files(tmp_path, "path")


def test_folder_without_images_says_what_it_holds(tmp_path):
    fill(tmp_path, "a/1.jxl", "a/notes.txt")
    with pytest.raises(DataError, match=r"no images \(.*Left out .*1 images .*\.jxl.*\.txt 1"):
        image_files(tmp_path, "path")


def test_relative_path_that_is_wrong_names_the_folder_looked_in(tmp_path, monkeypatch):
    monkeypatch.chdir(fill(tmp_path, "a.png"))
    with pytest.raises(DataError, match=f"path='x' is not a folder .looked in {tmp_path}.. Corr"):
        image_files(Path("x"), "path")
    with pytest.raises(DataError, match="path='a.png' is a file, not a folder"):
        image_files(Path("a.png"), "path")
    assert looked_in("/abs") == ""


@pytest.mark.parametrize("name", ["2024", "photos #1", "a: b", "with space", "%41", "[x]", "naïve"])
def test_image_files_of_a_folder_with_any_name_are_found(tmp_path, name):
    fill(tmp_path, f"{name}/{name}.png")
    assert image_files(tmp_path / name, "path") == [f"{name}.png"]


def test_keys_have_no_dots_slashes_or_unprintable_characters():
    assert key_of("a/b.c\\d\n.png") == "a+b,c%5Cd%0A,png"
    assert key_of("café_1.png") == "café_1,png"


def test_keys_of_different_names_differ():
    rng = random.Random(0)
    names = {"".join(rng.choices("a_./,+%2C\\\n\udcff", k=rng.randint(1, 6))) for _ in range(20000)}
    assert len({key_of(name) for name in names}) == len(names)
    assert all(key_of(name).isprintable() and not set(key_of(name)) & set("./\\") for name in names)


def test_member_inside_the_archive_is_accepted():
    check_inside("a/b..png", "a.zip")


@pytest.mark.parametrize("name", ["/etc/passwd", "../a.png", "a/../../b.png"])
def test_member_outside_of_the_archive_is_refused(name):
    with pytest.raises(DataError, match="a.zip has a member .*points out of the archive"):
        check_inside(name, "a.zip")


def test_arrays_are_images_where_there_are_no_image_files(tmp_path, paint):
    (tmp_path / "2.npy").touch()
    (tmp_path / "10.npy").touch()
    (tmp_path / ".hidden.npy").touch()
    assert image_files(tmp_path, "path") == ["2.npy", "10.npy"]
    paint(tmp_path / "1.png")
    assert image_files(tmp_path, "path") == ["1.png"]
