import io
import re
import sys

import numpy as np
import pytest
from PIL import Image

from ganforge.imaging.codec import Undecodable, decode_image

RNG = np.random.default_rng(0)


def tiff(values, **options):
    tifffile = pytest.importorskip("tifffile")
    buffer = io.BytesIO()
    color = {3: "rgb"}.get(values.shape[-1], "minisblack")
    planes = {"planarconfig": "contig"} if values.shape[2:] > (1,) else {}
    tifffile.imwrite(buffer, values, **{"photometric": color, **planes, **options})
    return buffer.getvalue()


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 5, 16])
def test_tiff_of_any_channels_and_bits_is_read_exactly(channels, dtype, compression):
    pixels = RNG.integers(0, np.iinfo(dtype).max, (4, 6, channels), dtype=dtype)
    decoded = decode_image(tiff(pixels, compression=compression))
    assert decoded.dtype == dtype
    np.testing.assert_array_equal(decoded, pixels)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 3)])
def test_tiff_of_floats_is_mapped_to_16_bits(shape, dtype, compression):
    values = RNG.random(shape).astype(dtype)
    decoded = decode_image(tiff(values, compression=compression), value_range=(0, 1))
    expected = values.astype(float).reshape(4, 6, -1) * 65535
    np.testing.assert_allclose(decoded, expected, atol=0.5001)


def test_tiff_of_separate_planes_has_its_channels_last():
    values = RNG.integers(0, 255, (5, 4, 6), dtype=np.uint8)
    decoded = decode_image(tiff(values, photometric="minisblack", planarconfig="separate"))
    np.testing.assert_array_equal(decoded, np.moveaxis(values, 0, -1))


def test_tiff_with_alpha_is_read_as_rgba(helpers):
    pixels = RNG.integers(0, 255, (4, 6, 4), dtype=np.uint8)
    np.testing.assert_array_equal(decode_image(helpers.file_bytes(pixels, "tif")), pixels)


def test_tiff_of_floats_in_one_channel_needs_no_tifffile(helpers, monkeypatch):
    monkeypatch.setitem(sys.modules, "tifffile", None)
    data = helpers.file_bytes(Image.fromarray(np.float32([[0, 1]])), "tif")
    assert decode_image(data, value_range=(0, 1)).tolist() == [[[0], [65535]]]


def test_tiff_without_tifffile_says_what_to_install(monkeypatch):
    data = tiff(np.zeros((4, 6, 5), np.uint8))
    monkeypatch.setitem(sys.modules, "tifffile", None)
    with pytest.raises(Undecodable, match="many channels.*pip install 'ganforge.tiff.'"):
        decode_image(data)


@pytest.mark.parametrize("length", [6, 60, 200])
def test_tiff_that_is_cut_short_is_refused(length):
    data = tiff(RNG.integers(0, 255, (64, 64, 5), dtype=np.uint8))
    with pytest.raises(Undecodable, match="cannot be decoded"):
        decode_image(data[:length])


def test_tiff_whose_strips_are_missing_is_refused():
    tifffile = pytest.importorskip("tifffile")
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.zeros((13, 17, 3), np.float32), rowsperstrip=1)
    data = buffer.getvalue()
    height = b"\x01\x01\x04\x00\x01\x00\x00\x00\x0d\x00"  # tag 257, one long
    assert data.count(height) == 1 or data.count(height.replace(b"\x04\0\1", b"\x03\0\1")) == 1
    for kind in (b"\x03", b"\x04"):
        old = height[:2] + kind + height[3:]
        data = data.replace(old, old[:-2] + b"\x0d\x01")
    with pytest.raises(Undecodable, match="strips or tiles of pixels are missing"):
        decode_image(data, value_range=(0, 1))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_tiff_is_turned_once_as_its_orientation_says(channels, dtype):
    pixels = RNG.integers(0, 255, (4, 6, channels), dtype=dtype)
    data = tiff(pixels, extratags=[(274, 3, 1, 6, True)])
    np.testing.assert_array_equal(decode_image(data), np.rot90(pixels, -1))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiff_whose_white_is_zero_is_inverted(dtype):
    values = RNG.integers(0, 255, (4, 6), dtype=dtype)
    decoded = decode_image(tiff(values, photometric="miniswhite"))
    np.testing.assert_array_equal(decoded[..., 0], np.iinfo(dtype).max - values)


@pytest.mark.parametrize(("photometric", "channels"), [("separated", 4), ("cielab", 3)])
def test_16_bit_tiff_of_other_colors_is_refused(photometric, channels):
    data = tiff(np.zeros((4, 6, channels), np.uint16), photometric=photometric)
    with pytest.raises(Undecodable, match=f"is a TIFF of {photometric.upper()} colors .*RGB"):
        decode_image(data)


def test_big_tiff_of_16_bit_color_keeps_all_bits():
    pixels = RNG.integers(0, 65536, (4, 6, 3), dtype=np.uint16)
    np.testing.assert_array_equal(decode_image(tiff(pixels, bigtiff=True)), pixels)


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.uint32])
def test_tiff_of_other_integers_is_mapped_by_its_values(dtype):
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    values = np.array([[low, high]], dtype=dtype)
    data = tiff(values, photometric="minisblack")
    with pytest.raises(Undecodable, match=re.escape(f"values from {low:g} to {high:g}; convert")):
        decode_image(data)
    assert decode_image(data, (low, high)).tolist() == [[[0], [65535]]]
