import pytest

from ganforge.config.load import load_pipeline
from ganforge.errors import ConfigError


def test_fault_unknown_key_names_nearest_file_and_line(write, error_of):
    write("a.yaml", "extends: base.yaml\ntrain:\n  seed: 1\n  totl_kimg: 5")

    message = error_of("a.yaml")

    assert message.startswith("train.totl_kimg (a.yaml:4): unknown key 'totl_kimg'.")
    assert "Did you mean 'total_kimg'?" in message


def test_fault_in_an_extended_file_names_that_file(write, error_of):
    write("bad.yaml", "extends: base.yaml\ndata:\n  workers: many")
    write("child.yaml", "extends: bad.yaml\nname: child")

    assert "data.workers (bad.yaml:3): should be a valid integer" in error_of("child.yaml")


def test_fault_key_of_another_section_names_the_section(write, error_of):
    write("a.yaml", "extends: base.yaml\ntotal_kimg: 5")

    assert "total_kimg (a.yaml:2): unknown key 'total_kimg'. It belongs in train." in error_of(
        "a.yaml"
    )


def test_fault_wrong_type_shows_the_value(write, error_of):
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
def test_fault_that_pydantic_words_for_programmers_is_said_for_people(write, override, expected):
    write("a.yaml", "name: a\nmodel: {architecture: dcgan}\n")
    with pytest.raises(ConfigError, match=expected):
        load_pipeline("a.yaml", [override])


def test_fault_union_is_reported_once_with_all_forms(write, error_of):
    write("a.yaml", "extends: base.yaml\ndata: {resolution: big}")

    message = error_of("a.yaml")

    assert message.count("data.resolution") == 1
    assert "valid integer" in message and "Or: should be a list" in message


def test_fault_rule_between_keys_says_what_to_use(write, error_of):
    message = error_of("base.yaml", ["train.batch_size=100", "train.slots=8"])

    assert message.startswith("train (")
    assert "batch_size=100 cannot be cut into slots=8 equal parts; use a multiple of 8" in message
    assert "(got" not in message  # not the whole section


def test_fault_missing_section_is_named(write, error_of):
    write("a.yaml", "name: a")

    assert "model (a.yaml): is missing; add `model: ...` there." in error_of("a.yaml")


def test_fault_several_are_listed_together(write, error_of):
    write("a.yaml", "extends: base.yaml\ntrain:\n  sed: 1\n  precision: fp8")

    message = error_of("a.yaml")

    assert message.startswith("2 errors in the pipeline file:")
    assert "train.sed (a.yaml:3)" in message
    assert "train.precision (a.yaml:4): should be 'auto', 'bf16', 'fp32' or 'fp16'" in message
    assert "(got 'fp8')" in message


def test_fault_number_as_key_is_located(write, error_of):
    write("a.yaml", "extends: base.yaml\n7: x")

    assert "7 (a.yaml:2)" in error_of("a.yaml")
