import numpy as np
import pytest
from PIL import Image

from ganforge.io.signatures import image_suffix, what_it_is


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP", "PPM", "AVIF"])
def test_image_suffix_knows_the_first_bytes_of_each_format(tmp_path, kind):
    path = tmp_path / "x"
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(path, kind)
    expected = {"JPEG": ".jpg", "TIFF": ".tif"}.get(kind, f".{kind.lower()}")
    assert image_suffix(path.read_bytes()[:32]) == expected


@pytest.mark.parametrize(
    "head", [b"", b"BM is text", b"P1ain text", b"hello", b"\0\0\0\x1cftypmp42"]
)
def test_image_suffix_of_other_content_is_none(head):
    assert image_suffix(head) is None


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"\0\0\0\x18ftypheic", "a HEIC image"),
        (b"\0\0\0\x18ftypavif", "an AVIF image"),
        (b"\xff\xd8\xff\xe0", "a JPEG image"),
        (b"II+\0\x08\0\0\0", "a TIFF image"),
        (b"\xef\xbb\xbf\n<!DOCTYPE html>", "a web page"),
        (b"<?xml version='1.0'?><Error>", "an XML document"),
        (b'{"error": "not found"}', "a JSON text"),
        (b"%PDF-1.7", "a PDF document"),
        (b"PK\3\4", "a zip archive"),
        (b"\0\0\0\x18ftypmp42", "a video"),
        (b"RIFF\0\0\0\0AVI LIST", "a video"),
        (bytes(64), "a file of zeros"),
        (b"version https://git-lfs.github.com/spec/v1", "only a pointer of Git LFS"),
        (b"/annex/objects/MD5E-s1--a.png", "only a pointer of git-annex"),
    ],
)
def test_what_it_is_names_what_people_take_for_images(head, expected):
    assert str(what_it_is(head)).startswith(expected)


@pytest.mark.parametrize("head", [b"", b"hello", b"image,label\n"])
def test_what_it_is_of_unknown_content_is_none(head):
    assert what_it_is(head) is None
