import numpy as np
import pytest
from PIL import Image

from ganforge.errors import ConfigError
from ganforge.imaging.grids import Names, named_grid, opaque, stack


def tile(value, size=(4, 3), mode="L"):
    return Image.new(mode, size, value)


def test_named_grid_scale_makes_each_pixel_a_square():
    image = Image.fromarray(np.array([[0, 255]], dtype=np.uint8))
    assert np.asarray(named_grid([image], 1, scale=2)).tolist() == [[0, 0, 255, 255]] * 2


@pytest.mark.parametrize("scale", [5_000, 20_000])
def test_named_grid_too_large_to_be_drawn_says_what_to_lower(scale):
    with pytest.raises(ConfigError, match=rf"would be {8 * scale} x {3 * scale}.*smaller scale"):
        named_grid([tile(10), tile(20)], 2, scale=scale)


def test_named_grid_without_names_lets_cells_touch():
    grid = named_grid([tile(10), tile(20), tile(30)], 2)
    assert grid.size == (8, 6)
    assert [grid.getpixel(at) for at in ((3, 0), (4, 0), (0, 3), (4, 3))] == [10, 20, 30, 255]


@pytest.mark.parametrize(("mode", "black"), [("L", 0), ("RGB", (0, 0, 0)), ("RGBA", (0, 0, 0, 0))])
def test_named_grid_writes_names_where_there_are(mode, black):
    names = Names(rows=("row",), columns=("a", "a long name"), cells=("", "x"))
    grid = named_grid([tile(black, (16, 16), mode), None], 2, names, scale=2)
    pixels = np.asarray(grid.convert("L"))
    bare = np.asarray(named_grid([tile(black, (16, 16), mode), None], 2, scale=2).convert("L"))
    assert grid.mode == mode
    assert pixels.shape[0] > bare.shape[0] and pixels.shape[1] > bare.shape[1]
    left = pixels[:, : pixels.shape[1] - 64]
    assert (left[:, :20] < 128).any(), "the row's name"
    assert (pixels[:12] < 128).any(), "the columns' names"
    assert (pixels[-14:] < 128).any(), "the cell's caption"


def test_named_grid_of_mixed_modes_is_rgb_over_white():
    grid = named_grid([tile(0), tile((0, 0, 0, 0), mode="RGBA")], 2)
    assert grid.mode == "RGB"
    assert grid.getpixel((4, 0)) == (255, 255, 255)


def test_named_grid_is_wide_enough_for_every_name():
    name = "a very long name of a class"
    narrow, wide = (named_grid([tile(0)], 1, Names(columns=(n,))) for n in ("a", name))
    assert wide.width > 10 * len(name) / 2 > narrow.width


def test_stack_puts_pictures_below_each_other_on_white():
    picture = stack([tile(0), tile((9, 9, 9), (2, 1), "RGB")])
    assert picture.size == (4, 4)
    assert [picture.getpixel(at)[0] for at in ((0, 0), (0, 3), (3, 3))] == [0, 9, 255]


def test_opaque_composites_over_white():
    assert opaque(tile((0, 0, 0, 0), mode="RGBA")).getpixel((0, 0)) == (255, 255, 255)
    assert opaque(tile(7)).getpixel((0, 0)) == (7, 7, 7)
