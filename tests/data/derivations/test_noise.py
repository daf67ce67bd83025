import numpy as np
import pytest
from numpy.testing import assert_array_equal
from pydantic import ValidationError

from ganforge.data.derivations.noise import Noise

GRAY = np.full((64, 64, 3), 0.5, dtype=np.float32)


def noise_of(seed, frame=0, sigma=(0.0, 55.0), img=GRAY):
    return 255 * (Noise(Noise.Config(sigma=sigma)).derive(img, seed, frame) - img)


def test_noise_of_a_fixed_strength_has_that_standard_deviation():
    noise = noise_of(3, sigma=25.0)
    assert noise.mean() == pytest.approx(0, abs=1)
    assert noise.std() == pytest.approx(25, rel=0.03)


def test_noise_of_a_range_differs_in_strength_between_samples():
    strengths = [noise_of(seed, sigma=(10.0, 40.0)).std() for seed in range(40)]
    assert min(strengths) > 9.5 and max(strengths) < 41
    assert min(strengths) < 15 and max(strengths) > 35


def test_noise_of_frames_differs_in_values_and_not_in_strength():
    first, second = noise_of(7, 0), noise_of(7, 1)
    assert first.std() == pytest.approx(second.std(), rel=0.05)
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.05


def test_noise_of_seeds_is_independent():
    first, second = noise_of(0, sigma=20.0), noise_of(1, sigma=20.0)
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.05


def test_noise_is_clipped():
    white = np.ones((32, 32, 1), dtype=np.float32)
    noisy = Noise(Noise.Config(sigma=100.0)).derive(white, 0)
    assert noisy.max() == 1 and noisy.min() >= 0


def test_noise_of_strength_0_changes_nothing():
    assert_array_equal(noise_of(5, sigma=0.0), np.zeros_like(GRAY))


def test_noise_takes_the_image_of_a_user_as_it_is():
    assert Noise(Noise.Config()).from_input(GRAY, None, 0) is GRAY


@pytest.mark.parametrize("sigma", [-1.0, 256.0, (20.0, 10.0), (-1.0, 3.0)])
def test_noise_of_an_impossible_strength_is_refused(sigma):
    with pytest.raises(ValidationError, match=r"from 0 to 255, as a number or a rising range"):
        Noise.Config(sigma=sigma)
