from typing import Literal

import pytest

from ganforge.config.choices import ComponentChoice
from ganforge.config.load import load_pipeline
from ganforge.config.models import StrictModel
from ganforge.registry.components import resolve
from ganforge.registry.plugins import get_registry


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("train.total_kimg=7.5", "train.total_kimg", 7.5),
        ("train.optimizer.lr=1e-3", "train.optimizer.lr", 1e-3),
        ("stages=[train, evaluate]", "stages", ("train", "evaluate")),
        ("train.ema_rampup=null", "train.ema_rampup", None),
        ("data.flip=true", "data.flip", True),
        ("augment={name: ada, target: 0.6}", "augment", ComponentChoice(name="ada", target=0.6)),
        ("augment=ada", "augment", ComponentChoice(name="ada")),
        ("model.z_dim=64", "model.z_dim", 64),
        ("publish.repo_id=a=b", "publish.repo_id", "a=b"),
        ("publish.license=", "publish.license", None),
        ("data.resolution=[64,32]", "data.resolution", (64, 32)),
    ],
)
def test_override_sets_the_value(write, override, path, value):
    found = load_pipeline("base.yaml", [override])
    for key in path.split("."):
        found = getattr(found, key)

    assert found == value


@pytest.mark.parametrize("key", ["loss.regularizers.0.gamma", "loss.regularizers[0].gamma"])
def test_override_reaches_into_a_list(write, key):
    assert load_pipeline("base.yaml", [f"{key}=2"]).loss.regularizers[0].options == {"gamma": 2}


def test_override_of_a_component_keeps_other_overrides_of_its_options(write):
    config = load_pipeline("base.yaml", ["model.w=2", "model.architecture=other"])

    assert config.model.options == {"w": 2}


def test_override_last_one_wins(write):
    assert load_pipeline("base.yaml", ["train.seed=1", "train.seed=2"]).train.seed == 2


@pytest.mark.parametrize("override", ["train", "=3", "train.=3", "train..seed=3"])
def test_override_without_key_or_value_is_refused(write, error_of, override):
    message = error_of("base.yaml", [override])

    assert "is not of the form section.key=value, e.g." in message


def test_override_below_a_value_is_refused(write, error_of):
    message = error_of("base.yaml", ["train.seed.x=1"])

    assert "train.seed (override 'train.seed.x=1'): should be a valid integer" in message


def test_override_of_a_missing_list_element_is_refused(write, error_of):
    message = error_of("base.yaml", ["loss.regularizers.5.gamma=1"])

    assert "'loss.regularizers.5.gamma=1' cannot be applied: loss.regularizers has 1" in message
    assert "no element 5" in message


def test_override_of_a_list_by_name_is_refused(write, error_of):
    override = "loss.regularizers.gamma=1"

    assert f"loss.regularizers (override {override!r}): should be a list" in error_of(
        "base.yaml", [override]
    )


def test_override_that_is_not_yaml_is_refused(write, error_of):
    assert "Override 'stages=[train' cannot be applied" in error_of("base.yaml", ["stages=[train"])


def test_override_unknown_key_says_that_it_is_an_override(write, error_of):
    message = error_of("base.yaml", ["train.sed=1"])

    assert message.startswith("train.sed (override 'train.sed=1'): unknown key 'sed'.")
    assert "Did you mean 'seed'?" in message


def test_override_inside_a_written_list_is_located_at_the_override(write, error_of):
    override = "loss.regularizers=[{gamma: 1}]"

    assert f"loss.regularizers.0.name (override {override!r}): is missing" in error_of(
        "base.yaml", [override]
    )


# A text field takes the value as typed.
@pytest.mark.parametrize("text", ["photos #1", "007", "2024", "a: b", "[x] y", "true", "1e5", " x"])
def test_override_of_a_text_field_is_taken_as_typed(write, text):
    assert load_pipeline("base.yaml", [f"run_dir={text}"]).run_dir == text


@pytest.mark.parametrize("text", ["photos #1", "007", "2024", "a: b", "[x] y", "true", "@x"])
def test_override_of_a_text_option_is_taken_as_typed(write, text):
    overrides = [f"data.source.path={text}", "data.source.name=folder"]

    write("a.yaml", "name: a\nmodel: {architecture: dcgan}")
    config = load_pipeline("a.yaml", overrides, get_registry().options_model)

    assert config.data.source.options == {"path": text}
    assert resolve(config).choices["data.source"].config.path == text


def test_override_of_a_number_option_is_a_number(write):
    config = load_pipeline("base.yaml", ["model.z_dim=64"], get_registry().options_model)

    assert config.model.options["z_dim"] == 64
    assert load_pipeline("base.yaml", ["model.w=1e-3"]).model.options["w"] == 0.001


@pytest.mark.parametrize("text", ["photos #1", "a: b", "a: b: c", "@x", "- x"])
def test_override_of_an_unknown_option_keeps_its_text(write, text):
    assert load_pipeline("base.yaml", [f"model.x={text}"]).model.options["x"] == text


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("publish.license=null", None),
        ("publish.license=", None),
        ("publish.license='null'", "null"),
        ('publish.license="a #1"', "a #1"),
    ],
)
def test_override_of_a_text_field_can_be_null_or_quoted(write, override, expected):
    assert load_pipeline("base.yaml", [override]).publish.license == expected


def test_override_of_a_text_in_a_list_is_taken_as_typed(write):
    config = load_pipeline("base.yaml", ["publish.tags=[a, b]", "publish.tags.1=2024"])

    assert config.publish.tags == ("a", "2024")


class Options(StrictModel):
    files: str | tuple[str, ...] = ()
    amounts: dict[str, float] = {}
    mode: Literal["off", "on"] = "on"
    limit: int | Literal["auto"] = "auto"


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("files=[a, 'b #1']", ["a", "b #1"]),
        ("files=b #1", "b #1"),
        ("amounts.x=2", {"x": 2}),
        ("amounts={x: 2}", {"x": 2}),
        ("mode=off", "off"),
        ("limit=3", 3),
        ("limit=auto", "auto"),
    ],
)
def test_override_follows_the_type_of_the_option(write, override, expected):
    key = override.partition("=")[0].partition(".")[0]

    config = load_pipeline("base.yaml", [f"model.{override}"], lambda kind, name: Options)

    assert config.model.options[key] == expected


def test_options_are_those_of_the_component_that_the_file_or_an_override_names(write):
    asked = []

    def options_model(kind, name):
        asked.append((kind, name))

    write("child.yaml", "extends: base.yaml\naugment: ada\nevaluate: {metrics: [fid]}")
    overrides = [
        "augment.x=1",
        "model.x=1",
        "loss.x=1",
        "loss.name=wasserstein",
        "loss.regularizers.0.x=1",
        "evaluate.metrics.0.x=1",
    ]
    load_pipeline("child.yaml", overrides, options_model)

    assert asked == [
        ("augmentation", "ada"),
        ("architecture", "dcgan"),
        ("loss", "wasserstein"),
        ("regularizer", "r1"),
        ("metric", "fid"),
    ]
