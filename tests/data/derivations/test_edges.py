import numpy as np
import pytest
from numpy.testing import assert_array_equal
from pydantic import ValidationError

from ganforge.data.derivations.edges import Edges, canny


def step(height=16, width=20, at=8, size=1.0):
    img = np.zeros((height, width), dtype=np.float32)
    img[:, at:] = size
    return img


def disk(side=64, radius=20.0, size=1.0):
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    return (size * (np.hypot(y, x) < radius)).astype(np.float32)


@pytest.mark.parametrize("sigma", [0.0, 0.5, 1.0, 2.5])
def test_canny_of_a_step_is_one_line_at_the_step(sigma):
    found = canny(step(), sigma, 0.1, 0.2)
    assert_array_equal(found.sum(axis=1), np.ones(16))
    assert found[:, 7].all() or found[:, 8].all()


@pytest.mark.parametrize("sigma", [0.0, 1.0, 3.0])
def test_canny_of_a_step_has_the_steps_height_as_contrast(sigma):
    img = step(40, 40, 20, size=0.3)
    assert canny(img, sigma, 0.29, 0.29).any()
    assert not canny(img, sigma, 0.31, 0.31).any()


def test_canny_of_a_transposed_image_is_transposed():
    img = step().T
    assert_array_equal(canny(img, 1.0, 0.1, 0.2).sum(axis=0), np.ones(16))


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_canny_of_a_diagonal_step_is_a_thin_diagonal(turns):
    img = np.rot90(np.triu(np.ones((24, 24), dtype=np.float32)), turns)
    found = canny(np.ascontiguousarray(img), 1.0, 0.2, 0.4)
    inner = found[4:-4, 4:-4]
    assert inner.any(axis=0).all() and inner.any(axis=1).all()
    assert inner.sum() <= 2 * len(inner)


def test_canny_of_a_disk_is_a_closed_thin_circle():
    found = canny(disk(), 1.0, 0.1, 0.2)
    y, x = np.nonzero(found)
    distance = np.hypot(y - 31.5, x - 31.5)
    assert 18.5 < distance.min() and distance.max() < 21.5
    angles = np.sort(np.arctan2(y - 31.5, x - 31.5))
    assert np.diff(angles).max() < 0.15
    assert len(y) < 1.3 * 2 * np.pi * 20


def test_canny_keeps_faint_edges_only_where_they_touch_strong_ones():
    img = np.zeros((40, 40), dtype=np.float32)
    img[:, 10:] = np.linspace(0.15, 0.6, 40, dtype=np.float32)[:, None]
    joined = canny(img, 1.0, 0.1, 0.4)
    assert joined[5:-5, 8:12].any(axis=1).all()
    alone = canny(step(40, 40, 10, size=0.2), 1.0, 0.1, 0.4)
    assert not alone.any()


@pytest.mark.parametrize("value", [0.0, 0.4, 1.0])
def test_canny_of_a_flat_image_is_empty(value):
    assert not canny(np.full((8, 9), value, dtype=np.float32), 1.0, 0.1, 0.2).any()


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (3, 2), (5, 300)])
def test_canny_takes_any_size(shape):
    img = np.random.default_rng(0).random(shape, dtype=np.float32)
    assert canny(img, 2.0, 0.1, 0.2).shape == shape


def test_blur_removes_fine_texture_and_keeps_the_outline():
    texture = np.random.default_rng(0).random((64, 64), dtype=np.float32)
    img = 0.5 * disk() + 0.5 * texture
    fine, smooth = canny(img, 0.0, 0.1, 0.2), canny(img, 2.0, 0.1, 0.2)
    assert fine.sum() > 3 * smooth.sum()
    assert smooth.sum() > 100


@pytest.mark.parametrize(("lines", "line"), [("black", 0.0), ("white", 1.0)])
def test_edges_are_drawn_in_the_chosen_color(lines, line):
    img = np.repeat(disk()[..., None], 3, axis=2)
    source = Edges(Edges.Config(lines=lines)).derive(img, 0)
    found = canny(disk(), 1.0, 0.1, 0.2)
    assert source.shape == (64, 64, 1) and source.dtype == np.float32
    assert set(np.unique(source)) == {0.0, 1.0}
    assert_array_equal(source[..., 0] == line, found)


@pytest.mark.parametrize("thresholds", [(0.3, 0.2), (0.0, 0.2), (0.1, 1.1), (-0.1, 0.2)])
def test_edges_with_thresholds_that_do_not_rise_are_refused(thresholds):
    with pytest.raises(ValidationError, match=r"two numbers above 0 up to 1"):
        Edges.Config(thresholds=thresholds)
