import pytest

from ganforge.api import ConfigError
from ganforge.layers import base_grid


@pytest.mark.parametrize(
    "height, width, expected",
    [
        (64, 64, (4, 4, 4)),
        (28, 28, (7, 7, 2)),
        (24, 40, (6, 10, 2)),
        (1024, 256, (16, 4, 6)),
        (8, 16, (4, 8, 1)),
    ],
)
def test_base_grid_of_a_reachable_size_is_its_halves(height, width, expected):
    assert base_grid(height, width, "some") == expected


@pytest.mark.parametrize(
    "height, width, near",
    [
        (30, 30, "28 and 32"),
        (4, 4, "8 and 10"),
        (64, 50, r"\[64, 48\] and \[64, 56\]"),
        (36, 32, r"32 and \[40, 32\]"),
    ],
)
def test_base_grid_of_an_unreachable_size_names_the_nearest(height, width, near):
    message = rf"data\.resolution: 'some' doubles.*{height}x{width} is not.*{near}\. Set .*resize"
    with pytest.raises(ConfigError, match=message):
        base_grid(height, width, "some")
