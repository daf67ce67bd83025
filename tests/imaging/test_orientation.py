import numpy as np
import pytest
from PIL import Image

from ganforge.imaging.orientation import TAG, orientation_of, upright, upright_array

PIXELS = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)


def photo(orientation):
    img = Image.fromarray(PIXELS)
    img.getexif()[TAG] = orientation
    return img


@pytest.mark.parametrize("orientation", range(1, 9))
def test_array_is_turned_as_an_image_is(orientation):
    expected = np.asarray(upright(photo(orientation)))
    np.testing.assert_array_equal(upright_array(PIXELS, orientation), expected)
    np.testing.assert_array_equal(upright_array(PIXELS[..., 0], orientation), expected[..., 0])


def test_orientation_6_turns_clockwise():
    assert upright_array(np.array([[1, 2], [3, 4]]), 6).tolist() == [[3, 1], [4, 2]]


@pytest.mark.parametrize("orientation", [0, 9, "6", None])
def test_unknown_orientation_is_upright(orientation):
    assert upright_array(PIXELS, orientation) is PIXELS


@pytest.mark.parametrize("orientation", [0, 9, 255])
def test_unknown_orientation_of_an_image_is_upright(orientation):
    assert orientation_of(photo(orientation)) == 1
    assert upright(photo(orientation)).size == (6, 4)
