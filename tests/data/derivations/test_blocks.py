import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from ganforge.data.derivations.blocks import Blocks
from ganforge.errors import ConfigError


def mosaic(img, size):
    return Blocks(Blocks.Config(size=size)).derive(img, 0)


def test_blocks_have_the_mean_color_of_their_pixels():
    img = np.random.default_rng(0).random((8, 12, 3), dtype=np.float32)
    found = mosaic(img, 4)
    for top in (0, 4):
        for left in (0, 4, 8):
            block = img[top : top + 4, left : left + 4]
            expected = np.broadcast_to(block.mean((0, 1)), block.shape)
            assert_allclose(found[top : top + 4, left : left + 4], expected, rtol=1e-5)


def test_blocks_cut_by_the_border_average_the_pixels_they_have():
    img = np.arange(10, dtype=np.float32).reshape(2, 5, 1) / 10
    expected = np.array([[0.3, 0.3, 0.5, 0.5, 0.65]] * 2)[..., None]
    assert_allclose(mosaic(img, 2), expected, rtol=1e-6)


def test_blocks_larger_than_the_image_give_its_mean():
    img = np.random.default_rng(0).random((3, 5, 1), dtype=np.float32)
    assert_allclose(mosaic(img, 64), np.full((3, 5, 1), img.mean()), rtol=1e-6)


@pytest.mark.parametrize("value", [0.0, 0.1, 1.0])
def test_blocks_of_a_flat_image_stay_in_range(value):
    img = np.full((17, 33, 3), value, dtype=np.float32)
    assert_allclose(mosaic(img, 7), img, rtol=1e-6)
    assert mosaic(img, 7).max() <= 1


def test_blocks_take_the_image_of_a_user_as_it_is():
    img = np.zeros((4, 4, 3), dtype=np.float32)
    assert_array_equal(Blocks(Blocks.Config()).from_input(img, None, 0), img)


def test_blocks_that_cover_the_image_are_refused():
    blocks = Blocks(Blocks.Config(size=8))
    blocks.check(4, 9)
    with pytest.raises(ConfigError, match="size=8 makes one color of an image of 8x8"):
        blocks.check(8, 8)
