import pytest

from ganforge.data.sources.image_files import check_inside, image_files, key_of
from ganforge.errors import DataError


def test_image_files_are_found_in_sub_folders_in_natural_order(tmp_path):
    for name in ("10.png", "9.JPG", "a/1.webp", ".hidden/2.png", ".3.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert image_files(tmp_path, "path") == ["9.JPG", "10.png", "a/1.webp"]


def test_image_files_of_a_folder_with_idx_files_names_the_source(tmp_path):
    (tmp_path / "train-images-idx3-ubyte.gz").touch()
    with pytest.raises(DataError, match="holds no images, but IDX files. .*name: idx, images: "):
        image_files(tmp_path, "path")


def test_keys_have_no_dots_slashes_or_unprintable_characters():
    assert key_of("a/b.c\\d\n.png") == "a_b_c_d__png"


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
