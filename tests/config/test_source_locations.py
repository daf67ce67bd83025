import pytest
import yaml

from ganforge.config.source_locations import SourceLocations, yaml_locations
from ganforge.errors import ConfigError


def located(text):
    return yaml_locations(yaml.compose(text), "a.yaml")


def placed(**places):
    locations = SourceLocations()
    for path, place in places.items():
        locations.put(tuple(path.split("_")), place)
    return locations


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ((), "a.yaml"),
        (("a",), "a.yaml:1"),
        (("a", "b"), "a.yaml:2"),
        (("a", "c", 1), "a.yaml:5"),
        (("a", "c", 1, "d"), "a.yaml:5"),
        (("a", "c", 1, "e"), "a.yaml:6"),
        ((7,), "a.yaml:7"),
        (("7",), "a.yaml:7"),
    ],
)
def test_yaml_locations_finds_the_line_of_each_key(path, place):
    text = "a:\n  b: 1\n  c:\n    - x\n    - d: 1\n      e: 2\n7: y"

    assert located(text).find(path) == place


def test_yaml_locations_of_a_merge_key_are_those_of_the_written_keys():
    text = "base: &base\n  a: 1\n  b: 2\nc:\n  b: 3\n  <<: *base"

    assert located(text).find(("c", "a")) == "a.yaml:2"
    assert located(text).find(("c", "b")) == "a.yaml:5"


def test_yaml_locations_of_merged_lists_prefer_the_first():
    text = "x: &x {a: 1}\ny: &y\n  a: 2\n  b: 3\nc:\n  <<: [*x, *y]"

    assert located(text).find(("c", "a")) == "a.yaml:1"
    assert located(text).find(("c", "b")) == "a.yaml:4"


@pytest.mark.parametrize("text", ["a: &a [*a]", "a: &a {b: *a}", "a: &a\n  b: [1, {c: *a}]"])
def test_yaml_locations_of_an_anchor_inside_itself_is_refused(text):
    with pytest.raises(ConfigError, match=r"An anchor contains itself \(a\.yaml:1\)\. Write"):
        located(text)


def test_find_falls_back_to_the_nearest_key_that_contains_it():
    locations = placed(a="1", a_b="2")

    assert locations.find(("a", "b", "c", 0)) == "2"
    assert locations.find(("a", "x")) == "1"
    assert locations.find(("x",)) is None


def test_replace_takes_the_places_of_the_other_and_forgets_its_own():
    locations = placed(a="1", a_b="2", a_b_c="3", x="4")

    locations.replace(("a", "b"), placed(a_b="9", a_b_d="8", x="7"))

    assert locations.find(("a", "b", "c")) == "9"
    assert locations.find(("a", "b", "d")) == "8"
    assert locations.find(("a",)) == "1"
    assert locations.find(("x",)) == "4"


def test_replace_by_a_value_that_only_has_inner_places_takes_one_of_them():
    locations = placed(a="1")

    locations.replace(("a",), placed(a_b_c="9"))

    assert locations.find(("a",)) == "9"


def test_drop_forgets_a_key_and_all_inside():
    locations = placed(a="1", a_b="2", a_b_c="3", ab="4")

    locations.drop(("a",))

    assert locations.find(("a", "b", "c")) is None
    assert locations.find(("ab",)) == "4"


def test_locations_are_equal_and_hashable_so_that_equal_configurations_are():
    assert placed(a="1") == placed(b="2")
    assert hash(placed(a="1")) == hash(placed(b="2"))
    assert placed(a="1") != "1"


def test_yaml_locations_of_aliases_that_stand_for_billions_are_refused():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 8)}]" for n in range(1, 10)]
    with pytest.raises(ConfigError, match="more than 100000 values .aliases may repeat them"):
        located("\n".join(lines))
