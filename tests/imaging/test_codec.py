import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps, PngImagePlugin

from ganforge.config import data
from ganforge.imaging import codec
from ganforge.imaging.codec import (
    Undecodable,
    decode_image,
    decode_pixels,
    encode_jpeg,
    encode_pixels,
    encode_png,
    image_size,
    storable_as_is,
)
from ganforge.imaging.orientation import upright_array

RNG = np.random.default_rng(0)


def noise(*shape, dtype=np.uint8):
    return RNG.integers(0, np.iinfo(dtype).max + 1, shape, dtype=dtype)


@pytest.mark.parametrize("extension", ["png", "webp", "tif", "bmp"])
@pytest.mark.parametrize("channels", [1, 3])
def test_decode_of_lossless_formats_is_exact(helpers, extension, channels):
    pixels = noise(5, 7, channels)
    img = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
    options = {"lossless": True} if extension == "webp" else {}
    decoded = decode_image(helpers.file_bytes(img, extension, **options))
    if extension == "webp":
        pixels = np.broadcast_to(pixels, (5, 7, 3))  # WebP has no gray
    np.testing.assert_array_equal(decoded, pixels)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_encode_png_then_decode_returns_the_same_pixels(channels, dtype):
    pixels = noise(6, 9, channels, dtype=dtype)
    decoded = decode_image(encode_png(pixels))
    assert decoded.dtype == dtype
    np.testing.assert_array_equal(decoded, pixels)


def test_codec_knows_as_many_channels_as_the_configuration():
    assert codec.MAX_CHANNELS == data.MAX_CHANNELS


@pytest.mark.parametrize("channels", range(1, 17))
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_pixels_of_any_channels_survive_encoding(channels, dtype):
    pixels = noise(6, 9, channels, dtype=dtype)
    decoded = decode_pixels(encode_pixels(pixels), channels)
    assert decoded.dtype == dtype
    np.testing.assert_array_equal(decoded, pixels)


@pytest.mark.parametrize("channels", [1, 3])
def test_encode_jpeg_is_close_and_storable(channels):
    smooth = np.linspace(0, 255, 16 * 16 * channels, dtype=np.uint8).reshape(16, 16, channels)
    data = encode_jpeg(smooth)
    decoded = decode_image(data)
    assert np.abs(decoded.astype(int) - smooth).mean() < 3
    assert storable_as_is(data, decoded) == "jpg"


def test_decode_pixels_of_other_channels_is_refused():
    with pytest.raises(Undecodable, match="does not hold 5 channels"):
        decode_pixels(encode_pixels(noise(6, 9, 3)), 5)


def npy(values):
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1), (4, 5, 2), (4, 5, 7)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_decode_of_an_npy_file_is_exact(tmp_path, shape, dtype):
    pixels = noise(*shape, dtype=dtype)
    (tmp_path / "a.npy").write_bytes(npy(pixels))
    decoded = decode_image(tmp_path / "a.npy")
    assert decoded.dtype == dtype
    np.testing.assert_array_equal(decoded, pixels.reshape(4, 5, -1))


@pytest.mark.parametrize("make", [npy, Image.fromarray, np.asarray])
def test_decode_of_floats_maps_the_range_to_16_bits_and_clamps(make):
    values = np.array([[-2, -1, 0, 1, 3]], dtype=np.float32)
    decoded = decode_image(make(values), value_range=(-1, 1))
    assert decoded.dtype == np.uint16
    assert decoded[0, :, 0].tolist() == [0, 0, 32768, 65535, 65535]


def test_decode_with_a_range_serves_integers_beyond_16_bits():
    decoded = decode_image(np.array([[-1000, 3000]], dtype=np.int32), value_range=(-1000, 3000))
    assert decoded[0, :, 0].tolist() == [0, 65535]
    gray = Image.new("L", (1, 1), 128)
    assert decode_image(gray, value_range=(0, 128)).tolist() == [[[65535]]]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_decode_of_values_that_are_not_finite_is_refused(value):
    with pytest.raises(Undecodable, match="not finite"):
        decode_image(np.full((2, 2), value), value_range=(0, 1))


def test_decode_of_16_bit_tiff_and_pillow_gray_png_keeps_all_bits(helpers):
    pixels = noise(4, 4, dtype=np.uint16)
    for extension in ("tif", "png"):
        decoded = decode_image(helpers.file_bytes(Image.fromarray(pixels), extension))
        np.testing.assert_array_equal(decoded[..., 0], pixels)


def test_decode_of_palette_with_transparency_gives_rgba(helpers):
    img = Image.new("P", (2, 1))
    img.putpalette([10, 20, 30, 200, 100, 50])
    img.putpixel((1, 0), 1)
    decoded = decode_image(helpers.file_bytes(img, "png", transparency=0))
    assert decoded.tolist() == [[[10, 20, 30, 0], [200, 100, 50, 255]]]
    assert decode_image(helpers.file_bytes(img, "png")).shape == (1, 2, 3)


def test_decode_of_rgb_with_color_key_gives_alpha(helpers):
    img = Image.new("RGB", (2, 1), (1, 2, 3))
    img.putpixel((1, 0), (9, 9, 9))
    data = helpers.file_bytes(img, "png", transparency=(1, 2, 3))
    assert decode_image(data)[0, :, 3].tolist() == [0, 255]
    assert storable_as_is(data, decode_image(data)[..., :3]) is None


def test_decode_of_gray_alpha_and_bilevel_and_cmyk(helpers):
    assert decode_image(Image.new("LA", (2, 2), (7, 9))).tolist()[0][0] == [7, 7, 7, 9]
    assert decode_image(Image.new("1", (2, 2), 1)).tolist()[0][0] == [255]
    assert decode_image(Image.new("CMYK", (2, 2))).shape == (2, 2, 3)
    assert decode_image(noise(3, 3)).shape == (3, 3, 1)


def test_decode_turns_a_photo_upright(helpers):
    pixels = np.zeros((4, 6, 3), dtype=np.uint8)
    pixels[0] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    data = helpers.file_bytes(Image.fromarray(pixels), "jpg", exif=exif, quality=95)
    decoded = decode_image(data)
    assert decoded.shape == (6, 4, 3)
    assert decoded[:, -1].mean() > 200 > 60 > decoded[:, 0].mean()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"no image at all", "cannot be decoded: it is none of PNG, JPEG"),
        (b"", "is empty"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 5, "cut short after 13 bytes"),
        (
            np.zeros((2, 2), dtype=np.float32),
            "float32 values from 0 to 0; convert it to 8 or .*value_range",
        ),
        (np.zeros((2, 2, 17), dtype=np.uint8), r"shape \[2, 2, 17\]; .*1 to 16 channels"),
        (np.zeros((2, 2, 2, 3), dtype=np.uint8), r"shape \[2, 2, 2, 3\]"),
        (b"\x93NUMPY damaged", "damaged .npy file"),
        (Image.new("F", (2, 2)), "float32 values from 0 to 0; convert it"),
        (Image.fromarray(np.full((2, 2), 70000, np.int32)), "to 70000; convert it to 8 or 16 bits"),
    ],
)
def test_decode_of_what_is_no_image_says_so(value, text):
    with pytest.raises(Undecodable, match=text):
        decode_image(value)


def test_decode_of_missing_file_says_so(tmp_path):
    with pytest.raises(Undecodable, match="cannot be read"):
        decode_image(tmp_path / "gone.png")


@pytest.mark.parametrize("extension", ["png", "jpg"])
def test_decode_of_truncated_file_raises(helpers, extension):
    data = helpers.file_bytes(noise(32, 32, 3), extension)
    with pytest.raises(Undecodable, match="cannot be decoded"):
        decode_image(data[: len(data) // 2])


def test_decode_of_truncated_16_bit_png_raises():
    data = encode_png(noise(32, 32, 3, dtype=np.uint16))
    with pytest.raises(Undecodable, match="damaged PNG"):
        decode_image(data[: len(data) // 2])


@pytest.mark.parametrize("depth", [8, 16])
def test_decompression_bomb_is_refused_before_it_is_unpacked(depth):
    header = struct.pack(">IIBBBBB", 30000, 30000, depth, 2, 0, 0, 0)
    chunks = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0")))
    )
    with pytest.raises(Undecodable, match="30000 x 30000 pixels, more than the limit"):
        decode_image(codec.PNG_SIGNATURE + chunks)


def test_decompression_bomb_limit_holds_for_other_formats(helpers, monkeypatch):
    monkeypatch.setattr(codec, "MAX_PIXELS", 100)
    with pytest.raises(Undecodable, match="11 x 10 pixels, more than the limit of 100"):
        decode_image(helpers.file_bytes(noise(11, 10, 3), "jpg"))


def test_storable_as_is_keeps_sound_files_of_the_right_form(helpers):
    smooth = np.linspace(0, 255, 64, dtype=np.uint8).reshape(8, 8)
    color = np.stack([smooth] * 3, axis=2)
    for pixels, extension in ((color, "jpg"), (smooth, "jpg"), (color, "png"), (smooth, "png")):
        data = helpers.file_bytes(pixels, extension)
        assert storable_as_is(data, decode_image(data)) == extension
    assert storable_as_is(helpers.file_bytes(color, "webp"), color) is None


def test_storable_as_is_refuses_what_the_loader_could_not_read(helpers):
    pixels = noise(8, 8, 3)
    jpeg = helpers.file_bytes(pixels, "jpg")
    decoded = decode_image(jpeg)
    assert storable_as_is(jpeg, decoded[:4]) is None
    assert storable_as_is(jpeg, decoded[..., :1]) is None
    assert storable_as_is(jpeg, decoded.astype(np.uint16)) is None
    assert storable_as_is(jpeg[:-20], decoded) is None
    palette = Image.fromarray(pixels).quantize(4)
    assert (
        storable_as_is(helpers.file_bytes(palette, "png"), np.asarray(palette.convert("RGB")))
        is None
    )
    cmyk = helpers.file_bytes(Image.fromarray(pixels).convert("CMYK"), "jpg")
    assert storable_as_is(cmyk, decode_image(cmyk)) is None


def test_storable_as_is_refuses_a_square_photo_on_its_side(helpers):
    exif = Image.Exif()
    exif[0x0112] = 6
    data = helpers.file_bytes(noise(8, 8, 3), "jpg", exif=exif)
    assert storable_as_is(data, decode_image(data)) is None


def test_decode_accepts_first_frame_of_animations():
    buffer = io.BytesIO()
    first, second = Image.new("RGB", (3, 3), "red"), Image.new("RGB", (3, 3), "blue")
    first.save(buffer, "GIF", save_all=True, append_images=[second])
    assert decode_image(buffer.getvalue())[0, 0, :3].tolist() == [255, 0, 0]


@pytest.mark.parametrize("extension", ["jpg", "png", "tif"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_image_size_is_that_of_the_upright_pixels(tmp_path, extension, orientation):
    img = Image.fromarray(noise(5, 9, 3))
    exif = img.getexif()
    exif[0x0112] = orientation
    path = tmp_path / f"photo.{extension}"
    img.save(path, exif=exif)
    assert image_size(path) == decode_image(path).shape[:2]


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_16_bit_png_is_turned_as_its_exif_data_say(tmp_path, helpers, orientation):
    pixels = noise(5, 9, 3).astype(np.uint16) * 257
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = helpers.file_bytes(Image.new("L", (9, 5)), "png", exif=exif)
    begin = turned.index(b"eXIf") - 4
    plain = encode_png(pixels)
    size = 12 + int.from_bytes(turned[begin : begin + 4])
    path = tmp_path / "photo.png"
    path.write_bytes(plain[:33] + turned[begin : begin + size] + plain[33:])
    np.testing.assert_array_equal(decode_image(path), upright_array(pixels, orientation))
    assert image_size(path) == decode_image(path).shape[:2]


def test_decode_of_16_bit_color_ppm_keeps_all_bits():
    pixels = noise(4, 6, 3).astype(np.uint16) * 257
    data = b"P6\n6 4\n65535\n" + pixels.astype(">u2").tobytes()
    np.testing.assert_array_equal(decode_image(data), pixels)
    with pytest.raises(Undecodable, match="is a damaged PPM"):
        decode_image(data[:-1])


def test_archive_of_arrays_is_no_array():
    buffer = io.BytesIO()
    np.savez(buffer, np.zeros((4, 6)))
    with pytest.raises(Undecodable, match=r"is an archive of arrays \(.npz\)"):
        codec.read_npy(buffer.getvalue())


@pytest.mark.skipif(not codec.HAS_AVIF, reason="this Pillow does not decode AVIF")
def test_decode_of_avif_of_more_than_8_bits_is_refused(helpers):
    data = helpers.file_bytes(Image.new("RGB", (8, 8)), "avif")
    place = data.index(b"av1C") + 6
    data = data[:place] + bytes([data[place] | 0x40]) + data[place + 1 :]
    with pytest.raises(Undecodable, match="is an AVIF of 10 bits .* avifdec --depth 16"):
        decode_image(data)


@pytest.mark.parametrize("mode", ["La", "RGBa", "LAB", "HSV", "YCbCr", "CMYK", "PA", "RGBX"])
def test_decode_takes_every_mode_of_pillow(mode):
    assert decode_image(Image.new(mode, (6, 4))).shape[:2] == (4, 6)


def test_image_size_of_what_is_no_image_says_why(tmp_path):
    (tmp_path / "text.png").write_text("no image")
    for path, fault in (
        ("text.png", "cannot be decoded: it is none"),
        ("no.png", "cannot be read"),
    ):
        with pytest.raises(Undecodable, match=fault):
            image_size(tmp_path / path)


def test_image_size_of_a_decompression_bomb_is_refused(tmp_path, monkeypatch):
    Image.fromarray(noise(5, 9, 3)).save(tmp_path / "photo.png")
    monkeypatch.setattr(codec, "MAX_PIXELS", 44)
    with pytest.raises(Undecodable, match="5 x 9 pixels, more than the limit of 44"):
        image_size(tmp_path / "photo.png")


@pytest.mark.parametrize("extension", ["png", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_decode_turns_by_the_orientation_as_pillow_does(helpers, orientation, extension):
    img = Image.fromarray(noise(4, 6, 3))
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = helpers.file_bytes(img, extension, exif=exif)
    turned = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    np.testing.assert_array_equal(decode_image(data), np.asarray(turned))


def test_decode_turns_a_photo_whose_exif_data_pillow_cannot_write(helpers):
    # The description, a text, has the type of a number; then the orientation.
    entries = struct.pack("<HHIf", 0x010E, 11, 1, 1.5) + struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + entries + bytes(4)
    data = helpers.file_bytes(Image.new("RGB", (6, 4)), "jpg", exif=exif)
    with pytest.raises(AttributeError), Image.open(io.BytesIO(data)) as img:
        ImageOps.exif_transpose(img)
    assert decode_image(data).shape == (6, 4, 3)


@pytest.mark.parametrize("compressed", [True, False])
def test_decode_reads_a_png_with_more_text_than_pillow_allows(helpers, compressed):
    texts = PngImagePlugin.PngInfo()
    texts.add_text("parameters", "x" * (PngImagePlugin.MAX_TEXT_CHUNK + 1), zip=compressed)
    pixels = noise(4, 6, 3)
    data = helpers.file_bytes(Image.fromarray(pixels), "png", pnginfo=texts)
    np.testing.assert_array_equal(decode_image(data), pixels)


@pytest.mark.skipif(not codec.HAS_AVIF, reason="this Pillow does not decode AVIF")
def test_decode_of_avif_is_close(helpers):
    pixels = np.full((8, 8, 3), (200, 100, 50), dtype=np.uint8)
    decoded = decode_image(helpers.file_bytes(Image.fromarray(pixels), "avif"))
    assert np.abs(decoded.astype(int) - pixels).max() < 8


def test_decode_of_a_pipe_is_refused_without_reading_it(tmp_path):
    os.mkfifo(tmp_path / "1.png")
    with pytest.raises(Undecodable, match="is a pipe, a socket or a device"):
        decode_image(tmp_path / "1.png")


@pytest.mark.parametrize("name", ["1.png", "1.npy"])
def test_decode_names_a_pointer_of_git_lfs(tmp_path, name):
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7\n"
    (tmp_path / name).write_bytes(pointer)
    with pytest.raises(Undecodable, match="pointer of Git LFS .* `git lfs pull`"):
        decode_image(tmp_path / name)


@pytest.mark.parametrize("dtype", ["S1", "complex64", "U2"])
def test_decode_of_an_npy_file_of_no_numbers_is_refused(dtype):
    with pytest.raises(Undecodable, match="not numbers"):
        decode_image(npy(np.zeros((2, 2), dtype)), value_range=(0, 1))


def test_decode_of_a_png_without_its_last_rows_is_refused(helpers):
    pixels = noise(8, 5, 3)
    whole = helpers.file_bytes(Image.fromarray(pixels))
    rows = b"".join(b"\0" + row.tobytes() for row in pixels[:5])
    begin, end = whole.index(b"IDAT") - 4, whole.index(b"IEND") - 4
    body = zlib.compress(rows)
    chunk = struct.pack(">I", len(body)) + b"IDAT" + body
    short = whole[:begin] + chunk + struct.pack(">I", zlib.crc32(chunk[4:])) + whole[end:]
    with pytest.raises(Undecodable, match="damaged PNG .its last rows are missing"):
        decode_image(short)
    pixels[-1] = 0  # as Pillow would fill it
    np.testing.assert_array_equal(decode_image(helpers.file_bytes(Image.fromarray(pixels))), pixels)


def test_png_that_begins_with_another_part_says_so(helpers):
    data = helpers.file_bytes(Image.new("RGB", (3, 3)))
    with pytest.raises(Undecodable, match="does not begin with its header"):
        decode_image(data[:8] + b"\0\0\0\4CgBI\x50\0\x20\2" + b"crc!" + data[8:])


def test_npy_of_the_other_byte_order_is_exact():
    values = noise(4, 6, dtype=np.uint16)
    buffer = io.BytesIO()
    np.save(buffer, values.astype(">u2"))
    np.testing.assert_array_equal(decode_image(buffer.getvalue())[..., 0], values)


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"\0\0\0\x18ftypheic" + bytes(40), "is a HEIC image, none of PNG"),
        (b"<html>404</html>", "is a web page, none of PNG"),
        (b"\xff\xd8\xff\xe0\0", "is a JPEG image that cannot be decoded: it is damaged"),
        (b"/annex/objects/MD5E-s1--a.png", "pointer of git-annex.*git annex get"),
    ],
)
def test_decode_of_another_kind_of_file_names_the_kind(data, fault):
    with pytest.raises(Undecodable, match=fault):
        decode_image(data)
