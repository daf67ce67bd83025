import click
import pytest

from ganforge.cli._options import (
    LAYERS,
    SEEDS,
    SIZE,
    FiniteRange,
    parse_options,
    read_options,
    read_own_options,
)
from ganforge.errors import ConfigError


@click.command()
@click.argument("images")
@click.option("--label", "labels")
@click.option("--num", "-n", "num")
@click.option("--batch-size")
@click.option("--pair", "-p", multiple=True)
def command(**arguments):
    """Options to be read."""


def option(name):
    return next(param for param in command.params if param.name == name)


def test_seeds_are_numbers_and_ranges():
    assert SEEDS.convert("3,5-7", option("pair"), None) == [3, 5, 6, 7]
    with pytest.raises(ConfigError, match="--pair 'x': 'x' is no seed"):
        SEEDS.convert("x", option("pair"), None)


@pytest.mark.parametrize(("text", "expected"), [("3", (3, 3)), ("8-13", (8, 13))])
def test_layers_are_a_number_or_a_range(text, expected):
    assert LAYERS.convert(text, None, None) == expected


@pytest.mark.parametrize("text", ["a", "1-", "-3", "\u00b2", "1-2-3", "9" * 20])
def test_layers_that_are_no_range_are_refused(text):
    with pytest.raises(ConfigError, match=f"--layers '{text}' is no range of layers"):
        LAYERS.convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("keep", "keep"), ("model", "model"), ("256", 256), ("256x128", (256, 128))],
)
def test_size_is_a_word_a_side_or_height_and_width(text, expected):
    assert SIZE.convert(text, None, None) == expected


@pytest.mark.parametrize("text", ["large", "-3", "3x", "1x2x3", "1.5", "9" * 20, ""])
def test_size_that_is_none_is_refused(text):
    with pytest.raises(
        ConfigError, match=f"--size '{text}' is not a size. Use keep, model, a side"
    ):
        SIZE.convert(text, None, None)


def test_parse_options_reads_yaml_values():
    options = parse_options(["a=1", "b=[1, 2]", "c=x=y", "d=null"])
    assert options == {"a": 1, "b": [1, 2], "c": "x=y", "d": None}


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        ("=1", "--option '=1' is not KEY=VALUE"),
        ("a", "--option 'a' is not KEY=VALUE"),
        ("a=[", "the value is not YAML; quote it"),
    ],
)
def test_parse_options_that_are_no_pairs_are_refused(pair, expected):
    with pytest.raises(ConfigError, match=expected):
        parse_options([pair])


def test_read_options_names_the_long_flag():
    context = click.Context(command)
    assert read_options(context, option("pair"), ("a=1",)) == {"a": 1}
    with pytest.raises(ConfigError, match="--pair 'a' is not KEY=VALUE"):
        read_options(context, option("pair"), ("a",))


@pytest.mark.parametrize(
    ("name", "flag"),
    [("labels", "--label"), ("label", "--label"), ("num_images", "--num"), ("images", "images"),
     ("batch_size", "--batch-size")],
)  # fmt: skip
def test_read_own_options_with_a_flag_name_it(name, flag):
    with pytest.raises(ConfigError, match=f"-o {name}: the command has this option; use {flag}."):
        read_own_options(click.Context(command), option("pair"), (f"{name}=1",))


def test_read_own_options_keeps_those_without_a_flag():
    found = read_own_options(click.Context(command), option("pair"), ("noise=none", "psi=0.5"))
    assert found == {"noise": "none", "psi": 0.5}


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e999"])
def test_finite_range_refuses_what_lies_in_every_range_of_click(text):
    with pytest.raises(click.BadParameter, match="not a finite number|not in the range"):
        FiniteRange(min=0).convert(text, option("num"), None)
    assert FiniteRange(min=0).convert("0.5", option("num"), None) == 0.5
