import math

import pytest

from ganforge.report.words import duration, number, of_total


@pytest.mark.parametrize(
    ("sec", "text"),
    [
        (0.2, "0 s"), (59.6, "1 min"), (61, "1 min 1 s"), (3600, "1 h"), (7500, "2 h 5 min"),
        (90061, "1 d 1 h"), (math.inf, "unknown"),
    ],
)  # fmt: skip
def test_duration_has_its_two_largest_units(sec, text):
    assert duration(sec) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (1.0, "1"), (12345.678, "12,346"), (0.0012345, "0.001234"), (2e-4, "0.0002"),
        (1.5e-7, "1.5e-07"), (-3.14159, "-3.142"), (2.5e9, "2.5e+09"), (math.nan, "not finite"),
        (None, "not finite"),
    ],
)  # fmt: skip
def test_number_has_four_digits(value, text):
    assert number(value) == text


def test_of_total_without_a_total_shows_the_progress_alone():
    assert of_total(54.0, 120.0) == "54 of 120 kimg (45%)"
    assert of_total(54.0, None) == "54 kimg"
