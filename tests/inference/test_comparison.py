import numpy as np
import pytest
import torch

from ganforge.errors import ConfigError
from ganforge.imaging.showable import palette
from ganforge.inference.comparison import ComparisonSheet


def plain(value, height=20, width=30):
    return torch.full((3, height, width), float(value))


def test_sheet_shows_source_output_and_target_side_by_side():
    sheet = ComparisonSheet()
    sheet.add(plain(-1), plain(0), plain(1))
    sheet.add(plain(0), plain(1), None, "second")
    picture = np.asarray(sheet.draw().convert("L"))
    values = [int(v) for v in np.unique(picture[20:30])]
    assert 0 in values and 128 in values
    assert picture.shape[0] > 40 and picture.shape[1] > 90


def test_sheet_without_targets_has_two_columns():
    with_target, without = ComparisonSheet(), ComparisonSheet()
    with_target.add(plain(0), plain(0), plain(0))
    without.add(plain(0), plain(0), None)
    assert without.draw().width < with_target.draw().width


def test_sheet_reduces_large_images_and_leaves_out_further_rows():
    sheet = ComparisonSheet(max_rows=2)
    for number in range(3):
        assert sheet.is_full == (number == 2)
        sheet.add(plain(0, 1000, 400), plain(0, 1000, 400), None)
    assert sheet.draw().height < 2 * 256 + 40


def test_sheet_of_label_maps_has_their_colors():
    sheet = ComparisonSheet(of_labels=True)
    label_map = torch.nn.functional.one_hot(torch.full((20, 30), 4), 6).movedim(-1, 0).float()
    sheet.add(label_map, plain(1), None)
    colors = np.asarray(sheet.draw()).reshape(-1, 3).tolist()
    assert palette()[4].tolist() in colors


def test_sheet_of_nothing_is_refused():
    with pytest.raises(ConfigError, match="no translations to compare"):
        ComparisonSheet().draw()
