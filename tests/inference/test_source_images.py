import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from ganforge.errors import ConfigError, ShapeError
from ganforge.inference.source_images import source_batch


def test_source_batch_of_mixed_images_has_one_size_and_number_of_channels():
    sources = [
        Image.new("RGB", (31, 9)),
        Image.new("RGBA", (8, 6), (0, 0, 0, 0)),
        torch.zeros(3, 20, 20),
        torch.full((2, 1, 6, 8), 255, dtype=torch.uint8),
    ]
    img = source_batch(sources, 1, 6, 8, "crop")
    expected = torch.tensor([-1.0, 1.0, 0.0, 1.0, 1.0]).view(5, 1, 1, 1).expand(5, 1, 6, 8)
    assert_close(img, expected)


@pytest.mark.parametrize("image", [Image.new("L", (8, 6)), torch.zeros(3, 6, 8)])
def test_source_batch_of_a_single_image_has_one_row(image):
    assert source_batch(image, 3, 6, 8, None).shape == (1, 3, 6, 8)


def test_source_batch_without_resize_keeps_the_pixels():
    img = torch.linspace(-1, 1, 3 * 6 * 8).view(1, 3, 6, 8)
    assert_close(source_batch(img, 3, 6, 8, None), img)


def test_source_batch_of_another_size_without_resize_says_what_to_do():
    with pytest.raises(ConfigError, match=r"images\[1\] is 6 x 9; .* 6 x 8 .*resize='crop'"):
        source_batch([torch.zeros(1, 6, 8), torch.zeros(1, 6, 9)], 1, 6, 8, None)


def test_source_batch_of_nothing_is_refused():
    with pytest.raises(ConfigError, match="no images to translate"):
        source_batch([], 3, 6, 8, "crop")


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.zeros(6, 8), r"Cannot translate \[6, 8\]; give PIL images"),
        (torch.zeros(2, 6, 8), r"Cannot translate \[2, 6, 8\]; give PIL images"),
        ("photo.png", "Cannot translate str; give PIL images"),
        (torch.full((1, 6, 8), 255.0), "values from 255 to 255; float images are in .* as uint8"),
    ],
)
def test_source_batch_of_what_is_no_image_is_refused(image, message):
    with pytest.raises(ShapeError, match=message):
        source_batch([image], 3, 6, 8, "crop")
