import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from ganforge.errors import ConfigError, ShapeError
from ganforge.inference.source_images import source_images


def test_source_images_keep_their_size_and_get_the_number_of_channels():
    sources = [
        Image.new("RGB", (31, 9)),
        Image.new("RGBA", (8, 6), (0, 0, 0, 0)),
        torch.zeros(3, 20, 20),
        torch.full((2, 1, 6, 8), 255, dtype=torch.uint8),
    ]
    found = source_images(sources, 1)
    assert [tuple(img.shape) for img in found] == [
        (1, 9, 31), (1, 6, 8), (1, 20, 20), (1, 6, 8), (1, 6, 8)
    ]  # fmt: skip
    assert [float(img.mean()) for img in found] == pytest.approx([-1.0, 1.0, 0.0, 1.0, 1.0])


@pytest.mark.parametrize("image", [Image.new("L", (8, 6)), torch.zeros(3, 6, 8)])
def test_source_images_of_a_single_image_are_one(image):
    (img,) = source_images(image, 3)
    assert img.shape == (3, 6, 8)


def test_source_images_keep_the_pixels():
    img = torch.linspace(-1, 1, 3 * 6 * 8).view(1, 3, 6, 8)
    assert_close(source_images(img, 3)[0], img[0])


def test_source_images_of_nothing_are_refused():
    with pytest.raises(ConfigError, match="no images to translate"):
        source_images([], 3)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.zeros(6, 8), r"Cannot translate \[6, 8\]; give PIL images"),
        (torch.zeros(2, 6, 8), r"Cannot translate \[2, 6, 8\]; give PIL images"),
        ("photo.png", "Cannot translate str; give PIL images"),
        (torch.full((1, 6, 8), 255.0), "values from 255 to 255; float images are in .* as uint8"),
    ],
)
def test_source_images_of_what_is_no_image_are_refused(image, message):
    with pytest.raises(ShapeError, match=message):
        source_images([image], 3)
