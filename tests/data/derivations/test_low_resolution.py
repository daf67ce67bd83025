import numpy as np
import pytest
from numpy.testing import assert_allclose
from PIL import Image

from ganforge.data.derivations.low_resolution import LowResolution, bicubic
from ganforge.errors import ConfigError


def low(factor=4.0):
    return LowResolution(LowResolution.Config(factor=factor))


def stripes(period, size=64):
    wave = 0.5 + 0.5 * np.sin(2 * np.pi * (np.arange(size) + 0.5) / period)
    return np.tile(wave, (size, 1)).astype(np.float32)[..., None]


def test_low_resolution_keeps_coarse_detail_and_removes_fine():
    coarse, fine = stripes(32), stripes(4)
    assert np.abs(low().derive(coarse, 0) - coarse)[:, 8:-8].max() < 0.05
    assert low().derive(fine, 0)[:, 8:-8].std() < 0.02


def test_low_resolution_is_that_of_pillow():
    pixels = np.random.default_rng(0).integers(256, size=(32, 48, 3), dtype=np.uint8)
    img = Image.fromarray(pixels)
    expected = img.resize((12, 8), Image.Resampling.BICUBIC).resize(
        (48, 32), Image.Resampling.BICUBIC
    )
    found = low().derive(pixels.astype(np.float32) / 255, 0)
    assert_allclose(255 * found, np.asarray(expected), atol=1.6)


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 3), (30, 17, 2)])
def test_low_resolution_keeps_the_size(shape):
    img = np.random.default_rng(0).random(shape, dtype=np.float32)
    assert low().derive(img, 0).shape == shape


def test_low_resolution_enlarges_the_image_of_a_user():
    img = np.random.default_rng(0).random((80, 100, 3), dtype=np.float32)
    source = low().from_input(img, None, 0)
    assert source.shape == (320, 400, 3)
    assert_allclose(source.mean(), img.mean(), atol=0.01)


def test_low_resolution_of_a_reduced_image_is_the_source_of_training():
    img = np.random.default_rng(0).random((64, 64, 3), dtype=np.float32)
    small = bicubic(img, 16, 16)
    assert_allclose(low().from_input(small, None, 0), low().derive(img, 0), atol=1e-6)


def test_bicubic_does_not_overshoot():
    img = np.zeros((8, 8, 1), dtype=np.float32)
    img[:, 4:] = 1
    large = bicubic(img, 64, 64)
    assert large.min() == 0 and large.max() == 1


def test_low_resolution_of_a_single_pixel_is_refused():
    derivation = low(8)
    derivation.check(4, 12)
    with pytest.raises(ConfigError, match="factor=8 makes one pixel of an image of 8x11"):
        derivation.check(8, 11)
