import numpy as np
import pytest
from numpy.testing import assert_allclose
from PIL import Image

from ganforge.data.derivations.gray import Gray, brightness


def test_gray_of_rgb_is_that_of_pillow():
    pixels = np.random.default_rng(0).integers(256, size=(9, 7, 3), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(pixels).convert("L"), dtype=np.float32)[..., None]
    found = Gray(Gray.Config()).derive(pixels.astype(np.float32) / 255, 0)
    assert_allclose(found * 255, expected, atol=0.51)


@pytest.mark.parametrize(
    ("color", "expected"),
    [
        ([0.3], 0.3),
        ([1.0, 0.0], 0.5),
        ([1.0, 0.0, 0.0], 0.299),
        ([1.0, 0.0, 0.0, 0.0], 1.0),
        ([0.0, 1.0, 0.0, 0.5], 0.5 * 0.587 + 0.5),
        ([0.1, 0.2, 0.3, 0.4, 0.5], 0.3),
    ],
)
def test_brightness_of_any_number_of_channels_is_one_channel(color, expected):
    img = np.tile(np.array(color, dtype=np.float32), (2, 3, 1))
    assert_allclose(brightness(img), np.full((2, 3, 1), expected), rtol=1e-6)


@pytest.mark.parametrize("channels", [1, 3, 4, 16])
def test_gray_has_one_channel(channels):
    assert Gray(Gray.Config()).channels(channels) == 1
