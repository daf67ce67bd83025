import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from ganforge.errors import ShapeError
from ganforge.imaging.images import (
    composite,
    convert_channels,
    crop_center,
    from_pil,
    from_pixels,
    from_uint8,
    image_grid,
    pad_mirrored,
    resize,
    to_pil,
    to_pixels,
    to_uint8,
)


def test_to_uint8_all_bytes_round_trip():
    every = torch.arange(256, dtype=torch.uint8)
    assert_close(to_uint8(from_uint8(every)), every)


def test_to_uint8_out_of_range_clamps():
    img = torch.tensor([-3.0, -1.0, 0.0, 1.0, 3.0])
    assert to_uint8(img).tolist() == [0, 0, 128, 255, 255]


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
def test_to_pil_each_format_comes_back_through_from_pil(channels, mode):
    img = from_uint8(torch.randint(0, 256, (2, channels, 3, 5), dtype=torch.uint8))
    images = to_pil(img)
    assert [(i.mode, i.size) for i in images] == [(mode, (5, 3))] * 2
    assert_close(torch.stack([from_pil(i, channels) for i in images]), img)


@pytest.mark.parametrize("shape", [(3, 4, 4), (1, 2, 4, 4)])
def test_to_pil_not_an_image_batch_names_shape(shape):
    with pytest.raises(ShapeError, match=r"shape \[.*must be \[N, C, H, W\] with C = 1"):
        to_pil(torch.zeros(shape))


def test_image_grid_lays_out_row_by_row_and_leaves_rest_white():
    img = torch.stack([torch.full((3, 2, 4), v) for v in (-1.0, 0.0, 0.5)])
    grid = np.asarray(image_grid(img, 2, 2))
    assert grid.shape == (4, 8, 3)
    assert (grid[:2, :4] == 0).all()
    assert (grid[:2, 4:] == 128).all()
    assert (grid[2:, :4] == 191).all()
    assert (grid[2:, 4:] == 255).all()


def test_image_grid_too_many_images_says_so():
    with pytest.raises(ShapeError, match="5 images do not fit a grid of 2 x 2. Give more rows"):
        image_grid(torch.zeros(5, 1, 2, 2), 2, 2)


def test_from_pil_transparency_is_composited_over_background():
    image = Image.new("RGBA", (1, 1), (0, 0, 0, 51))  # one fifth black
    assert_close(to_uint8(from_pil(image)).flatten().tolist(), [204] * 3)
    assert to_uint8(from_pil(image, background=(0, 0, 0))).flatten().tolist() == [0] * 3
    assert to_uint8(from_pil(image, 4)).flatten().tolist() == [0, 0, 0, 51]


def test_from_pil_palette_with_transparent_index_is_composited():
    image = Image.new("P", (1, 1), 0)
    image.putpalette([255, 0, 0])
    image.info["transparency"] = 0
    assert to_uint8(from_pil(image)).flatten().tolist() == [255] * 3


@pytest.mark.parametrize("make", [np.array, torch.tensor])
def test_composite_mixes_by_alpha_for_arrays_and_tensors(make):
    color, alpha = make([10.0, 20.0, 30.0]), make([0.0, 0.25, 1.0])
    assert composite(color, alpha, 100.0).tolist() == [100.0, 80.0, 30.0]
    assert composite(color, alpha, make([4.0, 8.0, 12.0])).tolist() == [4.0, 11.0, 30.0]


def test_from_pil_turns_a_photo_upright():
    image = Image.fromarray(np.array([[0, 255]], dtype=np.uint8))
    image.getexif()[0x0112] = 6  # rotate by 90 degrees clockwise
    assert to_uint8(from_pil(image, 1)).tolist() == [[[0], [255]]]


@pytest.mark.parametrize("mode", ["F", "I"])
def test_from_pil_of_more_than_16_bits_says_what_to_do(mode):
    image = Image.new(mode, (1, 1), 70000)
    with pytest.raises(ShapeError, match="The image holds .*convert it to 8 or 16 bits"):
        from_pil(image)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_from_pil_16_bit_is_scaled_not_clipped(channels):
    image = Image.fromarray(np.array([[0, 32768, 65535]], dtype=np.uint16))
    img = from_pil(image, channels)
    assert img.shape == (channels, 1, 3)
    assert_close(img[0, 0], torch.tensor([-1.0, 0.0, 1.0]), atol=1e-4, rtol=0)
    if channels == 4:
        assert_close(img[3], torch.ones(1, 3))


def test_from_pil_unknown_channels_names_choices():
    with pytest.raises(ShapeError, match="channels=2 is not an image format; use 1, 3 or 4"):
        from_pil(Image.new("L", (1, 1)), 2)


def test_convert_channels_alpha_is_composited_over_white():
    rgba = torch.tensor([-1.0, 0.0, 1.0, 0.0]).view(1, 4, 1, 1)  # half transparent
    assert_close(convert_channels(rgba, 3).flatten(), torch.tensor([0.0, 0.5, 1.0]))


def test_convert_channels_composites_over_the_background():
    clear = torch.tensor([0.0, 0.0, 0.0, -1.0]).view(1, 4, 1, 1)
    assert to_uint8(convert_channels(clear, 3, (255, 128, 0))).flatten().tolist() == [255, 128, 0]


def test_convert_channels_gray_and_back_is_identity():
    gray = torch.rand(2, 1, 3, 3)
    assert_close(convert_channels(convert_channels(gray, 3), 1), gray)
    assert_close(convert_channels(gray, 4)[:, 3], torch.ones(2, 3, 3))


def test_convert_channels_red_to_gray_uses_luma():
    red = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)
    assert_close(convert_channels(red, 1).item(), 0.299)


def test_convert_channels_unknown_channels_names_choices():
    with pytest.raises(ShapeError, match="channels=5 is not an image format"):
        convert_channels(torch.zeros(1, 3, 2, 2), 5)


def test_resize_crop_keeps_the_center():
    img = torch.zeros(1, 1, 4, 8)
    img[..., 2:6] = 1
    assert_close(resize(img, 4, 4, "crop"), torch.ones(1, 1, 4, 4))


def test_resize_pad_keeps_everything_and_adds_white():
    padded = resize(torch.zeros(1, 1, 4, 8), 8, 8, "pad")
    assert_close(padded[..., 2:6, :], torch.zeros(1, 1, 4, 8))
    assert_close(padded[..., [0, 1, 6, 7], :], torch.ones(1, 1, 4, 8))


@pytest.mark.parametrize("mode", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("size", [(3, 7), (9, 2), (1, 1), (16, 16)])
def test_resize_any_size_reaches_target(mode, size):
    resized = resize(torch.rand(2, 3, *size) * 2 - 1, 5, 6, mode)
    assert resized.shape == (2, 3, 5, 6)
    assert resized.abs().max() <= 1


@pytest.mark.parametrize(("bit_depth", "dtype"), [(8, np.uint8), (16, np.uint16)])
def test_to_pixels_is_undone_by_from_pixels_at_every_value(bit_depth, dtype):
    every = np.arange(2**bit_depth, dtype=dtype).reshape(16, -1, 1)
    (pixels,) = to_pixels(from_pixels(every)[None], bit_depth)
    assert pixels.dtype == dtype
    np.testing.assert_array_equal(pixels, every)


def test_to_pixels_clamps_and_puts_channels_last():
    img = torch.tensor([-3.0, 0.0, 3.0]).view(1, 3, 1, 1).expand(2, 3, 4, 5)
    for bit_depth in (8, 16):
        pixels = to_pixels(img, bit_depth)
        top = 2**bit_depth - 1
        assert pixels.shape == (2, 4, 5, 3)
        assert pixels[0, 0, 0].tolist() == [0, (top + 1) // 2, top]


def test_pad_mirrored_shows_the_mirror_image_around_the_image():
    img = torch.arange(3.0).view(1, 1, 1, 3).expand(1, 1, 3, 3)
    assert pad_mirrored(img, 3, 7)[0, 0, 0].tolist() == [2, 1, 0, 1, 2, 1, 0]
    assert pad_mirrored(img, 3, 4)[0, 0, 0].tolist() == [0, 1, 2, 1]
    assert pad_mirrored(img, 3, 3) is img


def test_pad_mirrored_repeats_the_edge_of_a_small_image():
    img = torch.arange(2.0).view(1, 1, 1, 2)
    assert pad_mirrored(img, 4, 8)[0, 0].tolist() == [[0, 0, 0, 0, 1, 1, 1, 1]] * 4


@pytest.mark.parametrize("size", [(5, 7), (6, 8), (9, 16)])
def test_crop_center_returns_what_was_padded(size):
    img = torch.rand(2, 3, 5, 7)
    assert torch.equal(crop_center(pad_mirrored(img, *size), 5, 7), img)


def test_resize_of_label_maps_takes_the_nearest_and_pads_without_label():
    ids = torch.tensor([[0, 1], [1, 2]])
    one_hot = torch.stack([ids == label for label in range(3)]).float()[None]
    found = resize(one_hot, 8, 4, "pad", is_labels=True)
    assert set(found.unique().tolist()) == {0, 1}
    assert torch.equal(
        found[0, :, 2:6].argmax(0), ids.repeat_interleave(2, 0).repeat_interleave(2, 1)
    )
    assert found[0, :, :2].max() == found[0, :, 6:].max() == 0
