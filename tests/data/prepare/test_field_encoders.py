import io

import numpy as np
import pytest

from ganforge.data.prepare.field_encoders import (
    PixelEncoder,
    as_vector,
    decode_value,
    encode_vector,
    npy_bytes,
)
from ganforge.data.shards.clip import read_table
from ganforge.data.shards.index import FieldSchema
from ganforge.imaging.codec import Undecodable, decode_image, decode_pixels
from ganforge.imaging.label_maps import decode_labels
from ganforge.imaging.resize import ImageForm
from ganforge.interfaces.source import ImageHalf

RNG = np.random.default_rng(0)


def encoder(size=8, channels=3, depth=8, resize="crop", frame_format="png", **schema):
    schema = {"kind": "image", "height": size, "width": size} | schema
    form = ImageForm(
        size, size, channels, depth, resize, (9, 9, 9), is_labels=schema["kind"] == "labels"
    )
    schema = FieldSchema(channels=channels, bit_depth=depth, **schema)
    return PixelEncoder(schema, form, frame_format)


def frames_in(clip):
    table = read_table(clip, len(clip))
    return [clip[int(e["offset"]) :][: int(e["size"])] for e in table]


def test_images_in_their_form_are_kept_byte_for_byte(helpers):
    data = helpers.file_bytes(RNG.integers(0, 255, (8, 8, 3), dtype=np.uint8))
    stored = encoder().encode(data)
    assert (stored.data, stored.extension, stored.size) == (data, "png", (8, 8))


@pytest.mark.parametrize(("dtype", "extension"), [("jpg", "jpg"), ("png", "png")])
def test_clip_frames_in_their_form_are_kept_byte_for_byte(helpers, dtype, extension):
    smooth = np.linspace(0, 255, 8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)
    files = [helpers.file_bytes(np.roll(smooth, n, 0), dtype) for n in range(3)]
    stored = encoder(is_clip=True).encode(files)
    assert (stored.extension, stored.num_frames) == ("clip", 3)
    assert frames_in(stored.data) == files


def test_clip_frames_of_another_size_are_scaled_and_stored_as_png():
    stored = encoder(is_clip=True).encode([np.full((16, 16, 3), 7, np.uint8)] * 2)
    assert [decode_image(f).shape for f in frames_in(stored.data)] == [(8, 8, 3)] * 2
    assert stored.size == (16, 16)


@pytest.mark.parametrize(
    ("options", "signature"),
    [
        ({"frame_format": "jpeg", "is_clip": True}, b"\xff\xd8"),
        ({"frame_format": "jpeg", "is_clip": True, "channels": 1}, b"\xff\xd8"),
        ({"frame_format": "jpeg", "is_clip": True, "channels": 4}, b"\x89PNG"),
        ({"frame_format": "jpeg", "is_clip": True, "depth": 16}, b"\x89PNG"),
        ({"frame_format": "jpeg", "is_clip": True, "channels": 1, "kind": "labels"}, b"\x89PNG"),
        ({"is_clip": True}, b"\x89PNG"),
    ],
)
def test_frames_are_jpeg_only_where_asked_and_able(options, signature):
    channels = options.get("channels", 3)
    frame = np.full((16, 16, channels), 77, np.uint8)
    (data,) = frames_in(encoder(**options).encode([frame]).data)
    assert data.startswith(signature)
    white = 257 if options.get("depth") == 16 else 1
    assert abs(int(decode_image(data)[0, 0, 0]) - 77 * white) <= 2


def test_clip_is_encoded_frame_by_frame():
    decoded, encode = [], encoder(is_clip=True)

    def frames():
        for number in range(5):
            decoded.append(number)
            yield np.full((8, 8, 3), number, np.uint8)

    class Lazy(list):
        def __iter__(self):
            return frames()

    assert encode.encode(Lazy()).num_frames == 5
    assert decoded == list(range(5))


@pytest.mark.parametrize(
    ("frames", "text"),
    [
        ([], "has no frames"),
        ([np.zeros((8, 8, 3), np.uint8), np.zeros((9, 9, 3), np.uint8)], "8 x 8 and 9 x 9"),
        ([np.zeros((8, 8, 3), np.uint8), b"x"], "frame 1 cannot be decoded"),
    ],
)
def test_clips_that_do_not_hold_together_are_refused(frames, text):
    with pytest.raises(Undecodable, match=text):
        encoder(is_clip=True).encode(frames)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_label_ids_survive_resizing_and_storage(dtype):
    ids = np.where(RNG.random((20, 20)) > 0.5, 20, 0).astype(dtype)
    depth = 8 * np.dtype(dtype).itemsize
    stored = encoder(7, 1, depth, kind="labels").encode(ids)
    assert set(np.unique(decode_labels(stored.data))) == {0, 20}
    assert stored.largest == 20


def test_label_maps_in_their_form_are_kept_unless_they_are_palettes(helpers):
    from PIL import Image

    gray = helpers.file_bytes(np.eye(8, dtype=np.uint8))
    assert encoder(8, 1, kind="labels").encode(gray).data == gray
    palette = Image.new("P", (8, 8), 5)
    palette.putpalette([n for n in range(256) for _ in "rgb"])
    stored = encoder(8, 1, kind="labels").encode(helpers.file_bytes(palette, "png"))
    assert decode_image(stored.data).tolist() == np.full((8, 8, 1), 5).tolist()


def test_images_of_many_channels_and_16_bits_survive_storage():
    pixels = RNG.integers(0, 65536, (8, 8, 6), dtype=np.uint16)
    stored = encoder(8, 6, 16).encode(pixels)
    np.testing.assert_array_equal(decode_pixels(stored.data, 6), pixels)


def test_white_of_floats_is_the_whole_range_whatever_occurs():
    stored = encoder(8, 1, 16, value_range=(0, 4)).encode(np.ones((8, 8), np.float32))
    assert stored.largest == 65535
    assert decode_image(stored.data)[0, 0, 0] == round(65535 / 4)


def test_halves_of_an_image_are_cut(helpers):
    pixels = RNG.integers(0, 255, (4, 6, 3), dtype=np.uint8)
    data = helpers.file_bytes(pixels)
    left, right = (decode_value(ImageHalf(data, s), False, None) for s in ("left", "right"))
    np.testing.assert_array_equal(np.concatenate([left, right], axis=1), pixels)
    ids = helpers.file_bytes(np.arange(4, dtype=np.uint8)[None])
    assert decode_value(ImageHalf(ids, "right"), True, None)[0, :, 0].tolist() == [2, 3]


def test_image_of_odd_width_has_no_halves(helpers):
    with pytest.raises(Undecodable, match="5 pixels wide, which gives no two equal halves"):
        decode_value(ImageHalf(helpers.file_bytes(np.zeros((4, 5, 3), np.uint8)), "left"), 0, None)


def move(points, coordinates, size, resize="crop", wanted=(64, 64)):
    form = ImageForm(*wanted, 3, 8, resize, (0, 0, 0))
    schema = FieldSchema(kind="vector", size=len(points), coordinates=coordinates)
    stored = np.load(io.BytesIO(encode_vector(points, schema, 1, form, size)))
    assert stored.dtype == np.float32
    return stored.tolist()


@pytest.mark.parametrize(
    ("coordinates", "resize", "points", "expected"),
    [
        # 50 x 100 to 64 x 64: crop scales by 1.28 and cuts 32 pixels on the left.
        ("xyxy", "crop", [50, 25, 75, 50], [32, 32, 64, 64]),
        ("xywh", "crop", [50, 25, 25, 25], [32, 32, 32, 32]),
        ("xy", "crop", [50, 25, 75, 0], [32, 32, 64, 0]),
        ("xyv", "crop", [50, 25, 2], [32, 32, 2]),
        # fit scales by 0.64 and adds 16 rows above.
        ("xyxy", "fit", [50, 25, 100, 50], [32, 32, 64, 48]),
        ("xywh", "fit", [0, 0, 100, 50], [0, 16, 64, 32]),
        ("xy", "stretch", [50, 25], [32, 32]),
        ("xywh", "stretch", [50, 25, 100, 50], [32, 32, 64, 64]),
    ],
)
def test_coordinates_follow_the_resizing(coordinates, resize, points, expected):
    assert move(points, coordinates, (50, 100), resize) == pytest.approx(expected, rel=1e-5)


def test_coordinates_mark_the_same_spot_in_the_resized_image():
    pixels = np.zeros((50, 100, 1), np.uint8)
    pixels[20:30, 40:60] = 255
    form = ImageForm(64, 64, 1, 8, "crop", (0, 0, 0))
    left, top, right, bottom = move([40, 20, 60, 30], "xyxy", (50, 100))
    rows, columns = np.nonzero(form.apply(pixels)[..., 0] > 127)
    assert abs(columns.min() - left) <= 1 and abs(columns.max() + 1 - right) <= 1
    assert abs(rows.min() - top) <= 1 and abs(rows.max() + 1 - bottom) <= 1


def test_coordinates_follow_padding():
    assert move([0, 0, 10, 10], "xyxy", (60, 50), "pad") == [7, 2, 17, 12]


def test_plain_numbers_stay():
    assert move([50, 25, 75], None, (50, 100)) == [50, 25, 75]


def test_vectors_of_frames_have_a_row_each():
    schema = FieldSchema(kind="vector", size=4, is_clip=True, coordinates="xyxy")
    form = ImageForm(4, 4, 3, 8, "stretch", (0, 0, 0))
    data = encode_vector([[[0, 0, 8, 8]], [[4, 4, 8, 8]]], schema, 2, form, (8, 8))
    assert np.load(io.BytesIO(data)).tolist() == [[0, 0, 4, 4], [2, 2, 4, 4]]


@pytest.mark.parametrize(
    ("value", "num_frames", "is_clip", "text"),
    [
        ([1, 2, 3], 1, False, r"must hold 2 numbers, as before; its shape is \[3\]"),
        ([[1, 2]] * 3, 2, True, "must hold 2 numbers for each of 2 frames"),
    ],
)
def test_vectors_unlike_the_others_are_refused(value, num_frames, is_clip, text):
    schema = FieldSchema(kind="vector", size=2, is_clip=is_clip)
    with pytest.raises(Undecodable, match=text):
        encode_vector(value, schema, num_frames, None, (1, 1))


def test_vectors_may_be_npy_files(tmp_path):
    (tmp_path / "a.npy").write_bytes(npy_bytes(np.arange(3)))
    assert as_vector(tmp_path / "a.npy").tolist() == [0, 1, 2]
    assert as_vector(5).tolist() == [5]


@pytest.mark.parametrize(
    ("wanted", "pixels", "is_refused"),
    [
        (1, [[[1, 2, 3]]], True),
        (1, [[[7, 7, 7]]], False),
        (3, [[[1, 2, 3, 9]]], True),
        (3, [[[1, 2, 3, 255]]], False),
        (1, [[[7, 7, 7, 9]]], True),
        (3, [[[5]]], False),
    ],
)
def test_colors_or_transparency_that_would_be_lost_are_refused_unless_channels_are_set(
    wanted, pixels, is_refused
):
    schema = FieldSchema(kind="image", height=1, width=1, channels=wanted)
    form = ImageForm(1, 1, wanted, 8, "crop", (0, 0, 0))
    img = np.array(pixels, dtype=np.uint8)
    assert PixelEncoder(schema, form).encode(img)
    if not is_refused:
        assert PixelEncoder(schema, form, are_channels_set=False).encode(img)
        return
    with pytest.raises(Undecodable, match=f"the images before it have {wanted}; set data.channels"):
        PixelEncoder(schema, form, are_channels_set=False).encode(img)
