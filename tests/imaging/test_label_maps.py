import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from ganforge.imaging.codec import PNG_SIGNATURE, Undecodable, encode_png
from ganforge.imaging.label_maps import decode_labels

IDS = np.array([[0, 20], [255, 7]], dtype=np.uint8)


def npy(values):
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


@pytest.mark.parametrize("extension", ["png", "tif", "bmp", "pgm"])
def test_gray_files_hold_their_ids(helpers, extension):
    data = helpers.file_bytes(Image.fromarray(IDS), "ppm" if extension == "pgm" else extension)
    np.testing.assert_array_equal(decode_labels(data)[..., 0], IDS)


def test_palette_image_holds_the_numbers_of_its_colors(helpers):
    img = Image.new("P", (2, 2))
    img.putdata([0, 20, 255, 7])
    img.putpalette([value for n in range(256) for value in (255 - n, n, 128)])
    np.testing.assert_array_equal(decode_labels(helpers.file_bytes(img, "png"))[..., 0], IDS)
    np.testing.assert_array_equal(decode_labels(img)[..., 0], IDS)


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_gray_png_of_few_bits_holds_its_ids(depth):
    count = 2**depth
    bits = "".join(format(n, f"0{depth}b") for n in range(count)).ljust(8, "0")
    rows = b"\0" + int(bits, 2).to_bytes(len(bits) // 8, "big")
    header = struct.pack(">IIBBBBB", count, 1, depth, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    data = PNG_SIGNATURE + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
    assert decode_labels(data)[0, :, 0].tolist() == list(range(count))


def test_16_bit_files_keep_all_ids(helpers):
    ids = np.array([[0, 300], [65535, 7]], dtype=np.uint16)
    files = (encode_png(ids[..., None]), helpers.file_bytes(Image.fromarray(ids), "tif"))
    for data in (*files, npy(ids)):
        decoded = decode_labels(data)
        np.testing.assert_array_equal(decoded[..., 0], ids)
        assert decoded.dtype == np.uint16
    assert decode_labels(encode_png(ids[:1, :1, None])).dtype == np.uint16


@pytest.mark.parametrize(("largest", "dtype"), [(255, np.uint8), (256, np.uint16)])
def test_arrays_are_made_as_small_as_their_ids(largest, dtype):
    decoded = decode_labels(np.array([[0, largest]], dtype=np.int64))
    assert decoded.dtype == dtype
    assert decoded[0, :, 0].tolist() == [0, largest]


def test_masks_of_bools_are_ids_0_and_1():
    assert decode_labels(np.array([[True, False]]))[0, :, 0].tolist() == [1, 0]
    assert decode_labels(Image.new("1", (1, 1), 1)).tolist() == [[[1]]]


def test_label_map_is_turned_upright_like_an_image(helpers):
    exif = Image.Exif()
    exif[0x0112] = 6
    data = helpers.file_bytes(Image.fromarray(IDS), "png", exif=exif)
    np.testing.assert_array_equal(decode_labels(data)[..., 0], np.rot90(IDS, -1))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Image.new("RGB", (2, 2)), "mode RGB, not a map of ids. Replace each color by its id"),
        (Image.new("LA", (2, 2)), "mode LA, not a map of ids"),
        (Image.new("F", (2, 2)), "mode F"),
        (np.zeros((2, 2)), "float64 values, not integer ids"),
        (np.zeros((2, 2, 3), np.uint8), r"shape \[2, 2, 3\]"),
        (np.full((2, 2), -1), "ids from -1 to -1; use 0 to 65535"),
        (np.full((2, 2), 65536), "ids from 65536 to 65536; use 0 to 65535"),
        (b"", "is empty"),
    ],
)
def test_what_holds_no_ids_is_refused(value, text):
    with pytest.raises(Undecodable, match=text):
        decode_labels(value)


def test_jpeg_is_refused(helpers):
    with pytest.raises(Undecodable, match="JPEG, which changes ids; save label maps as PNG"):
        decode_labels(helpers.file_bytes(Image.fromarray(IDS), "jpg"))
