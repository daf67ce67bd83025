import pydantic
import pytest
from pydantic import Field

from ganforge.config.load import load_pipeline
from ganforge.config.messages import Message, messages_of, raise_messages
from ganforge.config.models import StrictModel
from ganforge.config.source_locations import SourceLocations
from ganforge.errors import ConfigError, PluginNotFound


def test_error_unknown_key_names_nearest_file_and_line(write, error_of):
    write("a.yaml", "extends: base.yaml\ntrain:\n  seed: 1\n  totl_kimg: 5")

    message = error_of("a.yaml")

    assert message.startswith("train.totl_kimg (a.yaml:4): unknown key 'totl_kimg'.")
    assert "Did you mean 'total_kimg'?" in message


def test_error_in_an_extended_file_names_that_file(write, error_of):
    write("bad.yaml", "extends: base.yaml\ndata:\n  workers: many")
    write("child.yaml", "extends: bad.yaml\nname: child")

    assert "data.workers (bad.yaml:3): should be a valid integer" in error_of("child.yaml")


def test_error_key_of_another_section_names_the_section(write, error_of):
    write("a.yaml", "extends: base.yaml\ntotal_kimg: 5")

    assert "total_kimg (a.yaml:2): unknown key 'total_kimg'. It belongs in train." in error_of(
        "a.yaml"
    )


def test_error_wrong_type_shows_the_value(write, error_of):
    write("a.yaml", "extends: base.yaml\nstages: train")

    assert "stages (a.yaml:2): should be a list (got 'train')" in error_of("a.yaml")


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("data=5", r"data .*should be a mapping of keys to values \(got 5\)"),
        ("stages=[train,train]", r"stages .*should list each stage once"),
        ("name=../x", r"name .*letters, digits, .* begin with a letter .*\(got '../x'\)"),
    ],
)
def test_error_that_pydantic_words_for_programmers_is_reworded(write, override, expected):
    write("a.yaml", "name: a\nmodel: {architecture: dcgan}\n")
    with pytest.raises(ConfigError, match=expected):
        load_pipeline("a.yaml", [override])


def test_error_union_is_reported_once_with_all_forms(write, error_of):
    write("a.yaml", "extends: base.yaml\ndata: {resolution: big}")

    message = error_of("a.yaml")

    assert message.count("data.resolution") == 1
    assert "valid integer" in message and "Or: should be a list" in message


def test_error_rule_between_keys_says_what_to_use(write, error_of):
    message = error_of("base.yaml", ["train.batch_size=100", "train.slots=8"])

    assert message.startswith("train (")
    assert "batch_size=100 cannot be cut into slots=8 equal parts; use a multiple of 8" in message
    assert "(got" not in message  # not the whole section


def test_error_missing_section_is_named(write, error_of):
    write("a.yaml", "name: a")

    assert "model (a.yaml): is missing; add `model: ...` there." in error_of("a.yaml")


def test_error_several_are_listed_together(write, error_of):
    write("a.yaml", "extends: base.yaml\ntrain:\n  sed: 1\n  precision: fp8")

    message = error_of("a.yaml")

    assert message.startswith("2 errors:")
    assert "train.sed (a.yaml:3)" in message
    assert "train.precision (a.yaml:4): should be 'auto', 'bf16', 'fp32' or 'fp16'" in message
    assert "(got 'fp8')" in message


def test_error_number_as_key_is_located(write, error_of):
    write("a.yaml", "extends: base.yaml\n7: x")

    assert "7 (a.yaml:2)" in error_of("a.yaml")


class Inner(StrictModel):
    width: int = Field(1, gt=0)
    start: float = Field(0.0, alias="from")


class Model(StrictModel):
    inner: Inner = Inner()
    parts: tuple[Inner, ...] = ()
    by_name: dict[str, Inner] = {}


def messages(data, prefix=()):
    """Path and text of each message about invalid data."""
    with pytest.raises(pydantic.ValidationError) as caught:
        Model.model_validate(data)
    return [(m.path, m.text) for m in messages_of(caught.value, Model, data, prefix)]


@pytest.mark.parametrize(
    ("data", "path"),
    [
        ({"inner": {"widht": 1}}, ("inner", "widht")),
        ({"parts": [{}, {"widht": 1}]}, ("parts", 1, "widht")),
        ({"by_name": {"a": {"widht": 1}}}, ("by_name", "a", "widht")),
    ],
)
def test_messages_of_an_unknown_key_suggest_names_of_its_section(data, path):
    expected = "unknown key 'widht'. Did you mean 'width'? Valid: from, width."

    assert messages(data) == [(path, expected)]


def test_messages_of_options_begin_at_the_prefix():
    found = messages({"inner": {"width": 0}}, ("loss", "regularizers", 2))

    assert found == [
        (("loss", "regularizers", 2, "inner", "width"), "should be greater than 0 (got 0).")
    ]


def test_messages_shorten_long_values():
    (_, text), *_ = messages({"inner": {"width": "x" * 500}})

    assert text.endswith("xxx...).") and len(text) < 200


def test_raise_messages_of_one_is_a_line_with_its_place():
    locations = SourceLocations()
    locations.put(("a",), "a.yaml:3")

    with pytest.raises(ConfigError, match=r"^a\.b \(a\.yaml:3\): is odd\.$"):
        raise_messages([Message(("a", "b"), "is odd.")], ConfigError, locations)


def test_raise_messages_of_several_lists_them_and_keeps_the_cause():
    cause = ValueError("cause")

    with pytest.raises(PluginNotFound) as caught:
        raise_messages(
            [Message(("a",), "x."), Message(("b", 0), "y.")], PluginNotFound, None, cause
        )

    assert str(caught.value) == "2 errors:\n  - a: x.\n  - b.0: y."
    assert caught.value.__cause__ is cause
