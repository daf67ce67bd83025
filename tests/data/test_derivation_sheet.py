import numpy as np
import pytest
from PIL import Image

from ganforge.config.choices import ComponentChoice
from ganforge.data.derivation_sheet import derivation_sheet
from ganforge.errors import ConfigError, DataError, PluginNotFound

SIDE = 200


@pytest.fixture
def photos(tmp_path):
    """A red, a green and a blue image of different sizes."""
    for number, color in enumerate(("red", "lime", "blue")):
        Image.new("RGB", (40 + number, 90), color).save(tmp_path / f"{number}.png")
    return tmp_path


def choices(*options):
    return [ComponentChoice(**option) for option in options]


def cell(sheet, row, column):
    """A pixel near the middle of a cell: titles are far smaller than a cell."""
    return sheet.getpixel(((SIDE + 2) * column + SIDE // 2, (SIDE + 2) * row + SIDE // 2))


def test_sheet_has_a_row_per_image_and_a_column_per_derivation(photos):
    sheet = derivation_sheet(photos, choices({"name": "gray"}, {"name": "blocks"}), side=SIDE)
    assert sheet.width == 3 * SIDE + 2 * 2
    assert 3 * SIDE < sheet.height < 4 * SIDE
    assert [cell(sheet, row, 0) for row in range(3)] == [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    assert [cell(sheet, row, 1)[0] for row in range(3)] == [76, 150, 29]
    assert [cell(sheet, row, 2) for row in range(3)] == [(255, 0, 0), (0, 255, 0), (0, 0, 255)]


def test_sheet_shows_the_first_images(photos):
    sheet = derivation_sheet(photos, choices({"name": "gray"}), side=SIDE, count=1)
    assert sheet.height < 2 * SIDE


def test_sheet_shows_holes_in_gray_with_the_options_of_the_choice(photos):
    hole = {"name": "mask", "shape": "box", "area": (0.9, 0.9)}
    sheet = derivation_sheet(photos, choices(hole), side=SIDE, count=1)
    assert cell(sheet, 0, 1) == (128, 128, 128)


def test_sheet_titles_name_options_that_are_not_defaults(photos):
    plain, other = ({"name": "edges"}, {"name": "edges", "sigma": 4.0})
    titles = [
        np.asarray(derivation_sheet(photos, choices(option), side=SIDE, count=1))[:12]
        for option in (plain, other)
    ]
    assert not np.array_equal(*titles)


@pytest.mark.parametrize(
    ("option", "error", "message"),
    [
        ({"name": "edgs"}, PluginNotFound, "Did you mean 'edges'"),
        ({"name": "edges", "sgma": 1}, ConfigError, r"--derive\.sgma.*mean 'sigma'"),
    ],
)
def test_sheet_of_an_unknown_derivation_or_option_names_near_ones(photos, option, error, message):
    with pytest.raises(error, match=message):
        derivation_sheet(photos, choices(option))


def test_sheet_of_a_damaged_image_names_it(photos):
    (photos / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    with pytest.raises(DataError, match=r"image .*1\.png is a PNG cut short.*Remove or replace"):
        derivation_sheet(photos, choices({"name": "gray"}))


def test_sheet_of_no_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="is not a folder"):
        derivation_sheet(tmp_path / "none", choices({"name": "gray"}))
