import pytest

from ganforge.config.choices import ANY_INDEX
from ganforge.config.merge import Document, place_at
from ganforge.config.models import PLACES
from ganforge.config.source_locations import SourceLocations
from ganforge.errors import ConfigError

SINGLE = [place for place in PLACES if place.section and ANY_INDEX not in place.pattern]
LISTS = [place for place in PLACES if place.section and place.is_list]


def nested(path, value):
    """`value` inside mappings, at `path`."""
    for key in reversed(path):
        value = {key: value}
    return value


def at(values, path):
    for key in path:
        values = values[key]
    return values


def merged(*values):
    """The values of documents that are merged in order."""
    document = Document()
    for each in values:
        document.merge(Document(each))
    return document.values


def located(values, path, place):
    locations = SourceLocations()
    locations.put(path, place)
    return Document(values, locations)


def test_merge_mappings_key_by_key_and_replaces_other_values():
    assert merged({"a": {"b": 1, "c": [1, 2]}, "d": 1}, {"a": {"c": [3]}, "d": {"e": 2}}) == {
        "a": {"b": 1, "c": [3]},
        "d": {"e": 2},
    }


@pytest.mark.parametrize("place", SINGLE, ids=lambda place: ".".join(place.pattern))
@pytest.mark.parametrize("short", [True, False], ids=["short", "long"])
def test_another_component_drops_the_options_of_the_first_at_every_place(place, short):
    other = "b" if short else {place.name_key: "b"}

    values = merged(
        nested(place.pattern, {place.name_key: "a", "option": 1}), nested(place.pattern, other)
    )

    assert at(values, place.pattern) == {place.name_key: "b"}


@pytest.mark.parametrize("place", SINGLE, ids=lambda place: ".".join(place.pattern))
def test_same_component_keeps_its_options_at_every_place(place):
    chosen = {place.name_key: "a", "option": 1}

    values = merged(nested(place.pattern, chosen), nested(place.pattern, "a"))
    assert at(values, place.pattern) == chosen
    values = merged(nested(place.pattern, "a"), nested(place.pattern, {"option": 1}))
    assert at(values, place.pattern) == chosen


def test_default_loss_is_another_component_than_a_named_one():
    assert merged({"loss": {"margin": 2}}, {"loss": "hinge"}) == {"loss": {"name": "hinge"}}


def test_fields_of_the_loss_section_stay_when_the_loss_changes():
    values = merged({"loss": {"name": "a", "margin": 2, "n_critic": 5}}, {"loss": "b"})

    assert values == {"loss": {"name": "b", "n_critic": 5}}


def test_interpolated_name_keeps_the_options():
    values = merged({"loss": {"name": "a", "margin": 2}}, {"loss": {"name": "${chosen}"}})

    assert values["loss"] == {"name": "${chosen}", "margin": 2}


@pytest.mark.parametrize("place", LISTS, ids=lambda place: ".".join(place.pattern))
@pytest.mark.parametrize("first", ["a", {"name": "a", "option": 1}], ids=["short", "long"])
def test_another_component_in_a_list_element_drops_the_options_of_the_first(place, first):
    path = place.pattern[:-1]

    values = merged(nested(path, [first, "c"]), nested((*path, 0), {"name": "b", "other": 2}))

    assert at(values, path) == [{"name": "b", "other": 2}, "c"]


@pytest.mark.parametrize("first", ["a", {"name": "a", "option": 1}], ids=["short", "long"])
def test_option_of_a_list_element_is_set_in_place(first):
    values = merged(
        {"loss": {"regularizers": [first]}}, nested(("loss", "regularizers", 0, "x"), 2)
    )

    assert values["loss"]["regularizers"][0]["x"] == 2
    assert values["loss"]["regularizers"][0]["name"] == "a"


def test_missing_list_element_is_refused():
    with pytest.raises(ConfigError, match=r"train\.trackers has 1 elements, counted from 0, and"):
        merged({"train": {"trackers": ["a"]}}, nested(("train", "trackers", 1), "b"))


def test_locations_of_a_replaced_value_are_forgotten():
    document = located({"a": {"b": [1, 2]}}, ("a", "b", 1), "base:2")
    document.merge(located({"a": {"b": [3]}}, ("a", "b"), "child:7"))

    assert document.locations.find(("a", "b", 1)) == "child:7"


def test_locations_beside_a_merged_value_are_kept():
    document = located({"loss": {"name": "a", "n_critic": 5}}, ("loss", "n_critic"), "base:2")
    document.merge(located({"loss": "b"}, ("loss",), "child:7"))

    assert document.locations.find(("loss", "n_critic")) == "base:2"
    assert document.locations.find(("loss", "name")) == "child:7"


def test_locations_of_dropped_options_are_forgotten():
    document = located({"model": {"architecture": "a", "x": 1}}, ("model", "x"), "base:2")
    document.merge(located({"model": {"architecture": "b"}}, ("model",), "child:7"))

    assert document.locations.find(("model", "x")) == "child:7"


def test_value_at_is_none_where_there_is_no_value():
    document = Document({"a": [{"b": 1}]})

    assert document.value_at(("a", 0, "b")) == 1
    assert document.value_at(("a", 1, "b")) is None
    assert document.value_at(("a", 0, "b", "c")) is None
    assert document.value_at(("x",)) is None


def test_place_at_finds_choices_by_path():
    assert place_at(("loss", "regularizers", 3)).kind == "regularizer"
    assert place_at(("model",)).name_key == "architecture"
    assert place_at(("loss", "regularizers")) is None
    assert place_at(("train",)) is None
