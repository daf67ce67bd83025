import numpy as np
import pytest
from PIL import Image

from ganforge.errors import ConfigError
from ganforge.inference.results import (
    Animation,
    ImageGrid,
    arithmetic_grid,
    check_animation_file,
    check_grid_file,
    style_grid,
)


def frames(num):
    """Flat images 16 x 12, each of another brightness."""
    return tuple(Image.new("RGB", (16, 12), (30 + 40 * i,) * 3) for i in range(num))


def levels(picture):
    return np.asarray(picture.convert("L"))[::12, ::16].tolist()


def test_grid_picture_has_its_images_in_rows():
    grid = ImageGrid((*frames(3), None), 2)
    assert levels(grid.picture()) == [[30, 70], [110, 255]]
    assert grid.picture(scale=3).size == (2 * 48, 2 * 36)
    assert grid.images == list(grid.cells[:3])


def test_grid_save_writes_png(tmp_path):
    path = ImageGrid(frames(2), 2).save(str(tmp_path / "new" / "a.png"), scale=2)
    assert Image.open(path).size == (64, 24)


def test_animation_grid_has_a_row_for_each_pair_of_keyframes():
    grid = Animation(frames(5), steps=2, is_loop=False).grid()
    assert levels(grid.picture()) == [[30, 70, 110], [110, 150, 190]]


def test_animation_grid_of_a_loop_ends_where_it_began():
    grid = Animation(frames(4), steps=2, is_loop=True).grid()
    assert levels(grid.picture()) == [[30, 70, 110], [110, 150, 30]]


def test_animation_save_follows_the_suffix(tmp_path):
    animation = Animation(frames(3), steps=2, is_loop=False)
    assert animation.save(tmp_path / "a.png", scale=2) == tmp_path / "a.png"
    assert Image.open(tmp_path / "a.png").size == (3 * 32, 24)
    animation.save(str(tmp_path / "a.gif"), scale=3)
    assert Image.open(tmp_path / "a.gif").size == (48, 36)


@pytest.mark.parametrize(
    ("name", "scale", "expected"),
    [
        ("a.gif", 1, "Let the name end in .png"),
        ("a.png", 0, "scale=0; use 1 or more"),
        ("file/a.png", 1, "Cannot write to the folder .*file is a file"),
    ],
)
def test_grid_that_cannot_be_written_is_refused(tmp_path, name, scale, expected):
    (tmp_path / "file").touch()
    for refuse in (
        check_grid_file,
        lambda path, scale: ImageGrid(frames(1), 1).save(path, scale=scale),
    ):
        with pytest.raises(ConfigError, match=expected):
            refuse(tmp_path / name, scale)
    with pytest.raises(ConfigError, match="scale=0"):
        ImageGrid(frames(1), 1).picture(0)


@pytest.mark.parametrize(
    ("name", "fps", "scale", "expected"),
    [
        ("a.avi", 30, 1, "a.avi has no ending"),
        ("a.gif", 60, 1, "at most 50 frames per second"),
        ("a.gif", 30, 0, "scale=0; use 1 or more"),
        ("file/a.gif", 30, 1, "Cannot write to the folder"),
    ],
)
def test_animation_that_cannot_be_written_is_refused(tmp_path, name, fps, scale, expected):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=expected):
        check_animation_file(tmp_path / name, fps, scale)
    with pytest.raises(ConfigError, match=expected):
        Animation(frames(2), 1, False).save(tmp_path / name, fps=fps, scale=scale)


def test_style_grid_has_the_seeds_images_at_its_edges():
    a, b, c, d, e = frames(5)
    grid = style_grid([1], [2, 3], own=[a, b, c], mixed=[d, e], fine="fine: 2-3")
    assert grid.cells == (None, b, c, a, d, e)
    assert grid.names.rows == ("", "seed 1")
    assert grid.names.columns == ("fine: 2-3", "seed 2", "seed 3")


def test_arithmetic_grid_shows_the_seeds_above_their_means():
    a, b, c, d, e, f = frames(6)
    grid = arithmetic_grid([(1.0, [1, 2]), (-0.5, [3])], own=[a, b, c], means=[d, e, f])
    assert grid.cells == (a, c, None, b, None, None, d, e, f)
    assert grid.names.columns == ("a", "- 0.5 b", "=")
    assert grid.names.cells == ("seed 1", "seed 3", "", "seed 2", "", "", "mean", "mean", "result")


def test_arithmetic_grid_of_single_seeds_has_one_row():
    a, b, c = frames(3)
    grid = arithmetic_grid([(1.0, [1]), (2.0, [7])], own=[a, b], means=[a, b, c])
    assert grid.cells == (a, b, c)
    assert grid.names.columns == ("a", "+ 2 b", "=")
    assert grid.names.cells == ("seed 1", "seed 7", "result")
