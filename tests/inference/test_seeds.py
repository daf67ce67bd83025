import subprocess
import sys

import numpy as np
import pytest
import torch

from ganforge.errors import ConfigError
from ganforge.inference.seeds import MAX_SEED, listed, parse_seeds, parse_terms, resolve_seeds


@pytest.mark.parametrize(
    ("num_images", "seeds", "expected"),
    [
        (None, None, [0]),
        (3, None, [0, 1, 2]),
        (None, 7, [7]),
        (None, [4, 4], [4, 4]),
        (2, range(5, 7), [5, 6]),
        (None, np.int64(3), [3]),
        (None, torch.tensor(3), [3]),
        (None, torch.tensor([1, 2]), [1, 2]),
        (None, MAX_SEED, [MAX_SEED]),
    ],
)
def test_resolve_seeds_takes_numbers_of_any_library(num_images, seeds, expected):
    assert resolve_seeds(num_images, seeds) == expected


@pytest.mark.parametrize(
    ("num_images", "seeds", "expected"),
    [
        (0, None, "num_images=0; use at least 1"),
        (1.5, None, "num_images=1.5 is not an integer"),
        (99999999999, None, "num_images: 99999999999 images .*at most 10000000"),
        (3, [1], "num_images=3, but 1 seeds.*only one of the two"),
        (None, [], "seeds is empty"),
        (None, [-4], "seed -4 is out of range; use 0 to"),
        (None, MAX_SEED + 1, "is out of range; use 0 to"),
        (None, [1.5], "seed 1.5 is not an integer"),
        (None, "1", "seed '1' is not an integer"),
    ],
)
def test_resolve_seeds_refuses_what_is_no_seed(num_images, seeds, expected):
    with pytest.raises(ConfigError, match=expected):
        resolve_seeds(num_images, seeds)


@pytest.mark.parametrize("value", ["ab", 1.5, None])
def test_listed_keeps_a_single_value_whole(value):
    assert listed(value) == [value]


def test_seeds_are_read_without_torch():
    code = "import sys, ganforge.inference.seeds; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,2 - 3-5 + 7", [(1.0, [1, 2]), (-1.0, [3, 4, 5]), (1.0, [7])]),
        (" 4 ", [(1.0, [4])]),
        ("1, 2 - 3", [(1.0, [1, 2]), (-1.0, [3])]),
    ],
)
def test_parse_terms_reads_seeds_and_signs(text, expected):
    assert parse_terms(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "cannot be read. Write seeds with"),
        ("1 - ", "cannot be read"),
        ("1 -2", "cannot be read"),
        ("1 - x", "terms 'x': 'x' is no seed and no range"),
        ([], "There are no terms"),
        ([(1.0, [])], "seeds is empty"),
    ],
)
def test_parse_terms_refuses_what_it_cannot_read(text, expected):
    with pytest.raises(ConfigError, match=expected):
        parse_terms(text)


@pytest.mark.parametrize("text", ["²", "1-", "1-²", "9" * 5000])
def test_parse_seeds_refuses_what_is_no_number(text):
    with pytest.raises(ConfigError, match=r"no seed and no range. Write e.g. 3,10-19"):
        parse_seeds(text)


@pytest.mark.parametrize("text", ["0-99999999999", "0-5999999,0-5999999"])
def test_parse_seeds_refuses_more_than_memory_holds(text):
    with pytest.raises(ConfigError, match=r"seeds: \d+ images are too many.*at most 10000000"):
        parse_seeds(text)


def test_parse_seeds_names_the_option():
    assert parse_seeds("3, 5-7") == [3, 5, 6, 7]
    with pytest.raises(ConfigError, match="--rows 'a': 'a' is no seed"):
        parse_seeds("a", "--rows")
