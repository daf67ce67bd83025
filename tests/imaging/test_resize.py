import numpy as np
import pytest
from PIL import Image

from ganforge.imaging.codec import Undecodable
from ganforge.imaging.resize import ImageForm, flatten_alpha, scale, scale_labels

RNG = np.random.default_rng(0)


WHITE = (255, 255, 255)


def form(height=8, width=8, channels=3, bit_depth=8, resize="crop", background=WHITE, **options):
    return ImageForm(height, width, channels, bit_depth, resize, background, **options)


def noise(*shape, dtype=np.uint8):
    return RNG.integers(0, np.iinfo(dtype).max + 1, shape, dtype=dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_pad_of_28_to_32_keeps_every_pixel_between_background(dtype):
    pixels = noise(28, 28, 1, dtype=dtype)
    depth = 8 * np.dtype(dtype).itemsize
    padded = form(32, 32, 1, depth, "pad", (0, 0, 0)).apply(pixels)
    np.testing.assert_array_equal(padded[2:-2, 2:-2], pixels)
    assert padded.sum(dtype=int) == pixels.sum(dtype=int)


@pytest.mark.parametrize(
    ("resize", "shape"),
    [("crop", (6, 12)), ("fit", (6, 12)), ("stretch", (6, 12)), ("pad", (6, 7))],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_every_policy_reaches_the_size(resize, shape, dtype, channels):
    pixels = noise(*shape, channels, dtype=dtype)
    fitted = form(8, 8, channels, 8 * np.dtype(dtype).itemsize, resize).apply(pixels)
    assert fitted.shape == (8, 8, channels)
    assert fitted.dtype == dtype


def test_crop_keeps_the_center_and_fit_keeps_everything():
    pixels = np.zeros((4, 12, 3), dtype=np.uint8)
    pixels[:, 4:8] = 200
    assert (form(4, 4, resize="crop").apply(pixels) == 200).all()
    fitted = form(4, 12, resize="fit", background=(9, 9, 9)).apply(
        np.full((4, 4, 3), 50, dtype=np.uint8)
    )
    assert (fitted[:, 4:8] == 50).all()
    assert (fitted[:, :4] == 9).all()
    assert (fitted[:, 8:] == 9).all()


def test_stretch_changes_the_aspect():
    pixels = np.repeat(np.array([0, 255], np.uint8), 8)[None, :, None].repeat(4, axis=0)
    stretched = form(4, 4, 1, resize="stretch").apply(pixels)[..., 0]
    assert stretched[0, 0] < 40
    assert stretched[0, -1] > 215


def test_none_refuses_another_size():
    with pytest.raises(Undecodable, match=r"is 7 x 8 .* not 8 x 8; set data.resolution"):
        form(resize="none").apply(noise(7, 8, 3))


def test_pad_refuses_a_larger_image():
    with pytest.raises(Undecodable, match="is 9 x 8, too large to pad to 8 x 8; set data.resize"):
        form(resize="pad").apply(noise(9, 8, 3))


@pytest.mark.parametrize("background", [(255, 255, 255), (10, 20, 30)])
def test_alpha_is_composited_on_the_background_never_dropped(background):
    pixels = np.zeros((8, 8, 4), dtype=np.uint8)
    pixels[0, 0] = (100, 0, 200, 255)
    pixels[0, 1] = (100, 0, 200, 51)
    result = form(background=background).apply(pixels)
    assert result[1, 1].tolist() == list(background)
    assert result[0, 0].tolist() == [100, 0, 200]
    expected = np.rint(0.2 * np.array([100, 0, 200]) + 0.8 * np.array(background))
    assert result[0, 1].tolist() == expected.tolist()


def test_alpha_is_composited_before_conversion_to_gray():
    pixels = np.zeros((8, 8, 4), dtype=np.uint8)
    assert (form(channels=1).apply(pixels) == 255).all()


def test_alpha_of_16_bit_images_is_composited_in_16_bits():
    pixels = np.zeros((8, 8, 4), dtype=np.uint16)
    result = form(bit_depth=16, background=(255, 128, 0)).apply(pixels)
    assert result[0, 0].tolist() == [65535, 128 * 257, 0]


def test_color_to_gray_uses_the_luma_and_keeps_grays():
    grays = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    np.testing.assert_array_equal(form(16, 16, 1).apply(grays)[..., 0], grays[..., 0])
    red = np.zeros((8, 8, 3), dtype=np.uint8)
    red[..., 0] = 255
    assert form(channels=1).apply(red)[0, 0, 0] == round(0.299 * 255)


def test_gray_to_color_and_alpha_is_opaque():
    assert form(channels=4).apply(np.full((8, 8, 1), 7, np.uint8))[0, 0].tolist() == [7, 7, 7, 255]


def test_8_bit_in_a_16_bit_set_is_scaled_to_full_range():
    assert (form(bit_depth=16).apply(np.full((8, 8, 3), 255, np.uint8)) == 65535).all()


def test_16_bit_in_an_8_bit_set_is_refused():
    with pytest.raises(Undecodable, match="has 16 bits per channel.*make them alike"):
        form().apply(noise(8, 8, 3, dtype=np.uint16))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_scale_weighs_colors_by_alpha(dtype):
    white = np.iinfo(dtype).max
    pixels = np.zeros((8, 8, 4), dtype=dtype)
    pixels[:, :4] = (white // 2, 0, 0, white)
    pixels[:, 4:] = (0, white, 0, 0)  # green, but not to be seen
    small = scale(pixels, 8, 2)
    seen = small[small[..., 3] > white // 10]
    np.testing.assert_allclose(seen[:, 0], white // 2, rtol=0.03)
    assert (seen[:, 1] < 0.03 * white).all()


def test_padding_of_images_with_alpha_is_transparent():
    padded = form(8, 8, 4, resize="pad").apply(np.full((4, 4, 4), 255, np.uint8))
    assert padded[0, 0].tolist() == [255, 255, 255, 0]


@pytest.mark.parametrize("background", [0, 37, 255])
def test_flatten_alpha_equals_pillow_for_every_byte_and_alpha(background):
    color, alpha = np.meshgrid(np.arange(256), np.arange(256))
    pixels = np.stack([color, color, color, alpha], axis=2).astype(np.uint8)
    paper = Image.new("RGBA", (256, 256), (background,) * 3 + (255,))
    expected = Image.alpha_composite(paper, Image.fromarray(pixels)).convert("RGB")
    np.testing.assert_array_equal(flatten_alpha(pixels, background), np.asarray(expected))


def label_form(height, width, resize, bit_depth=8):
    return form(height, width, 1, bit_depth, resize, is_labels=True)


@pytest.mark.parametrize("resize", ["crop", "fit", "stretch", "pad"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_label_maps_keep_their_ids_under_every_policy(resize, dtype):
    ids = np.where(noise(20, 30, 1) > 127, 20, 3).astype(dtype)
    shape = (32, 32) if resize == "pad" else (13, 11)
    depth = 8 * np.dtype(dtype).itemsize
    fitted = label_form(*shape, resize, depth).apply(ids)
    assert fitted.shape == (*shape, 1)
    assert fitted.dtype == dtype
    assert set(np.unique(fitted)) == ({0, 3, 20} if resize in ("pad", "fit") else {3, 20})


@pytest.mark.parametrize("resize", ["crop", "fit", "stretch"])
@pytest.mark.parametrize("size", [(8, 8), (24, 24), (9, 13)])
def test_label_maps_lie_where_their_images_lie(resize, size):
    pixels = np.zeros((16, 24, 1), dtype=np.uint8)
    pixels[4:12, 8:16] = 255
    black = form(*size, 1, 8, resize, (0, 0, 0)).apply(pixels)
    ids = label_form(*size, resize).apply(pixels // 255)
    clear = (black < 60) | (black > 195)
    assert clear.mean() > 0.6
    np.testing.assert_array_equal(ids[clear], black[clear] > 127)


def test_nearest_takes_the_id_at_the_center():
    ids = np.arange(6, dtype=np.uint16)[None, :, None]
    assert scale_labels(ids, 1, 2)[0, :, 0].tolist() == [1, 4]
    assert scale_labels(ids[:, :2], 1, 4)[0, :, 0].tolist() == [0, 0, 1, 1]


def test_8_bit_ids_in_a_16_bit_set_are_not_scaled():
    ids = np.full((8, 8, 1), 20, np.uint8)
    assert (label_form(8, 8, "none", 16).apply(ids) == 20).all()


def test_large_ids_in_an_8_bit_set_are_refused_and_small_ones_fit():
    ids = np.full((8, 8, 1), 255, np.uint16)
    assert label_form(8, 8, "none").apply(ids).dtype == np.uint8
    with pytest.raises(Undecodable, match="id 256, .* have 8 bits; set num_labels"):
        label_form(8, 8, "none").apply(ids + np.uint16(1))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_many_channels_are_scaled_one_by_one_and_padded_with_zeros(dtype):
    pixels = noise(16, 16, 5, dtype=dtype)
    depth = 8 * np.dtype(dtype).itemsize
    scaled = form(8, 8, 5, depth).apply(pixels)
    np.testing.assert_array_equal(scaled[..., 3:4], form(8, 8, 1, depth).apply(pixels[..., 3:4]))
    padded = form(20, 20, 5, depth, "pad").apply(pixels)
    assert not padded[0].any()


@pytest.mark.parametrize(("has", "wanted"), [(5, 3), (3, 5), (2, 1), (1, 2)])
def test_channels_that_do_not_convert_are_refused(has, wanted):
    with pytest.raises(Undecodable, match=f"has {has} channels, not {wanted}; .*data.fields"):
        form(channels=wanted).apply(noise(8, 8, has))


@pytest.mark.parametrize(
    ("resize", "size", "expected"),
    [
        ("crop", (50, 100), (64, 128, 0, -32)),
        ("fit", (50, 100), (32, 64, 16, 0)),
        ("stretch", (50, 100), (64, 64, 0, 0)),
        ("pad", (50, 60), (50, 60, 7, 2)),
        ("none", (64, 64), (64, 64, 0, 0)),
    ],
)
def test_placement_says_where_the_image_lies(resize, size, expected):
    assert form(64, 64, resize=resize).place(*size) == expected
