import numpy as np
import pytest
from numpy.testing import assert_array_equal
from pydantic import ValidationError

from ganforge.data.derivations.mask import FILL, Mask
from ganforge.errors import ConfigError

IMG = np.random.default_rng(0).random((64, 96, 3), dtype=np.float32)
SHAPES = pytest.mark.parametrize("shape", ["box", "brush"])


def mask_of(seed, img=IMG, **options):
    return Mask(Mask.Config(**options)).derive(img, seed)


def hole_of(seed, img=IMG, **options):
    return mask_of(seed, img, **options)[..., -1] == 0


@SHAPES
def test_mask_is_0_where_the_image_is_gray_and_1_where_it_is_kept(shape):
    source = mask_of(4, shape=shape)
    hole = source[..., 3] == 0
    assert set(np.unique(source[..., 3])) == {0.0, 1.0}
    assert_array_equal(source[~hole, :3], IMG[~hole])
    assert (source[hole, :3] == FILL).all()


@SHAPES
def test_mask_covers_a_share_of_the_image_in_its_range(shape):
    shares = [hole_of(seed, shape=shape, area=(0.2, 0.4)).mean() for seed in range(60)]
    # The last stroke of a brush may cover more than what is missing.
    assert min(shares) > 0.19 and max(shares) < (0.41 if shape == "box" else 0.6)
    assert min(shares) < 0.25 and max(shares) > 0.35


@SHAPES
def test_mask_reaches_every_part_of_the_image(shape):
    covered = np.mean([hole_of(seed, shape=shape) for seed in range(200)], axis=0)
    assert covered[8:-8, 8:-8].min() > 0.02
    assert covered.mean() == pytest.approx(0.27, abs=0.07)


@pytest.mark.parametrize("size", [(64, 96), (300, 20), (7, 500)])
def test_box_has_the_area_even_where_the_image_is_narrow(size):
    img = np.zeros((*size, 1), dtype=np.float32)
    for seed in range(20):
        share = hole_of(seed, img, shape="box", area=(0.5, 0.5)).mean()
        assert share == pytest.approx(0.5, abs=0.08)


def test_box_is_a_rectangle():
    hole = hole_of(1, shape="box")
    rows, columns = hole.any(axis=1), hole.any(axis=0)
    assert_array_equal(hole, np.outer(rows, columns))
    assert np.abs(np.diff(rows.astype(int), prepend=0, append=0)).sum() == 2


@SHAPES
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 2)])
def test_mask_of_a_tiny_image_ends(shape, size):
    assert hole_of(0, np.zeros((*size, 3), dtype=np.float32), shape=shape).any()


@SHAPES
def test_mask_is_the_same_for_all_frames_and_differs_between_samples(shape):
    mask = Mask(Mask.Config(shape=shape))
    assert_array_equal(mask.derive(IMG, 3, 0), mask.derive(IMG, 3, 5))
    assert not np.array_equal(mask.derive(IMG, 3), mask.derive(IMG, 4))


def test_mask_has_a_channel_more():
    assert Mask(Mask.Config()).channels(3) == 4


def test_mask_of_an_input_is_what_is_transparent():
    alpha = np.ones((64, 96, 1), dtype=np.float32)
    alpha[10:20, 30:50] = 0
    alpha[20, 30:50] = 0.5
    source = Mask(Mask.Config()).from_input(IMG, alpha, 0)
    hole = source[..., 3] == 0
    assert hole[10:21, 30:50].all() and hole.sum() == 11 * 20
    assert_array_equal(source[~hole, :3], IMG[~hole])


def test_mask_of_an_opaque_frame_has_no_hole():
    source = Mask(Mask.Config()).from_input(IMG, np.ones((64, 96, 1), dtype=np.float32), 0)
    assert_array_equal(source[..., :3], IMG)
    assert source[..., 3].all()


def test_mask_of_an_input_without_transparency_says_what_to_do():
    with pytest.raises(ConfigError, match=r"no transparency.*Erase what.*RGBA PNG"):
        Mask(Mask.Config()).from_input(IMG, None, 0)


@pytest.mark.parametrize("area", [(0.0, 0.3), (0.4, 0.3), (0.1, 0.95)])
def test_mask_of_an_impossible_area_is_refused(area):
    with pytest.raises(ValidationError, match=r"rising range from above 0 to 0\.9"):
        Mask.Config(area=area)


def test_mask_of_its_own_source_is_that_source():
    mask = Mask(Mask.Config())
    source = mask.derive(IMG, 2)
    assert_array_equal(mask.from_input(source[..., :3], source[..., 3:], 0), source)
