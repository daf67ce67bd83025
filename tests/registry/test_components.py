"""What a pipeline file chooses, resolved against the installed components."""

import re

import pytest

from ganforge.config.load import load_pipeline
from ganforge.config.models import PipelineConfig
from ganforge.errors import ConfigError, PluginNotFound
from ganforge.interfaces.architecture import Architecture
from ganforge.registry.components import resolve
from ganforge.registry.plugins import empty_registry, get_registry


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write YAML files in an empty working directory."""
    monkeypatch.chdir(tmp_path)
    return lambda name, text: (tmp_path / name).write_text(text, encoding="utf-8")


def component_fault(write, text, *overrides, error=ConfigError):
    write("a.yaml", text)
    with pytest.raises(error) as caught:
        resolve(load_pipeline("a.yaml", overrides))
    return str(caught.value)


PLAIN = "name: a\nmodel: {architecture: dcgan}\nstages: []\nevaluate: {metrics: []}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "stages: [trian]",
            r"stages\.0 \(a\.yaml:1\): Unknown stage 'trian'\. Did you mean 'train'",
        ),
        ("loss:\n  name: hing", r"loss\.name \(a\.yaml:2\): Unknown loss 'hing'.*'hinge'"),
        (
            "loss:\n  regularizers:\n    - r1\n    - name: r3",
            r"loss\.regularizers\.1\.name \(a\.yaml:4\): Unknown regularizer 'r3'",
        ),
        ("augment: adda", r"augment\.name \(a\.yaml:1\): Unknown augmentation 'adda'"),
        (
            "evaluate: {metrics: [fidd]}",
            r"evaluate\.metrics\.0\.name \(a\.yaml:1\): Unknown metric",
        ),
        ("evaluate: {extractor: x}", r"evaluate\.extractor\.name \(a\.yaml:1\): Unknown feature"),
        ("data: {source: foldr}", r"data\.source\.name \(a\.yaml:1\): Unknown source 'foldr'"),
        (
            "data: {derive: edgs}",
            r"data\.derive\.name \(a\.yaml:1\): Unknown.*Did you mean 'edges'",
        ),
    ],
)
def test_unknown_component_is_located_with_near_names(write, text, expected):
    write("base.yaml", PLAIN)

    message = component_fault(write, text + "\nextends: base.yaml", error=PluginNotFound)

    assert re.search(expected, message, re.DOTALL)
    assert "pip install that plugin" in message


def test_unknown_architecture_names_near_ones(write):
    message = component_fault(write, PLAIN.replace("dcgan", "dcgn"), error=PluginNotFound)

    assert "model.architecture (a.yaml:2): Unknown architecture 'dcgn'" in message
    assert "Did you mean 'dcgan'" in message


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("model.z_dm=3", "unknown key 'z_dm'. Did you mean 'z_dim'"),
        ("model.z_dim=big", "should be a valid integer"),
        ("model.z_dim=-3", "should be greater than 0 (got -3)"),
    ],
)
def test_architecture_option_fault_is_located(write, override, expected):
    message = component_fault(write, PLAIN, override)

    assert message.startswith(f"model.{override.split('.')[1].split('=')[0]} (override")
    assert expected in message
    assert "(architecture 'dcgan')" in message


def test_regularizer_option_fault_is_located_in_its_file(write):
    write("base.yaml", PLAIN)
    text = "extends: base.yaml\nloss:\n  regularizers:\n    - name: r1\n      gama: 1"

    message = component_fault(write, text)

    assert (
        "loss.regularizers.0.gama (a.yaml:5): unknown key 'gama'. Did you mean 'gamma'" in message
    )


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("sgma: 2", r"data\.derive\.sgma \(a\.yaml:5\): unknown key.*mean 'sigma'.*'edges'\)"),
        ("sigma: -2", r"data\.derive\.sigma \(a\.yaml:5\): should be greater.*\(got -2\)"),
        ("thresholds: [2, 1]", r"data\.derive \(a\.yaml:3\): thresholds must be two numbers"),
    ],
)
def test_derivation_option_fault_is_located_in_its_file(write, options, expected):
    write("base.yaml", PLAIN)
    text = f"extends: base.yaml\ndata:\n  derive:\n    name: edges\n    {options}"

    assert re.search(expected, component_fault(write, text))


def test_component_faults_are_all_listed(write):
    message = component_fault(write, PLAIN, "model.q=1", "loss=hing")

    assert message.startswith("2 errors:")


FULL = """
name: a
stages: [prepare, train]
data:
  source: {name: folder, path: photos}
  text_encoder: hashed_words
  derive: {name: edges, sigma: 2}
model: {architecture: dcgan, z_dim: 7}
loss: {name: hinge, regularizers: [{name: r1, gamma: 3}, r2]}
augment: ada
evaluate: {metrics: [fid, {name: kid, subsets: 5}]}
"""


def test_resolve_finds_every_component_with_its_validated_options(write):
    write("a.yaml", FULL)

    found = resolve(load_pipeline("a.yaml"))

    assert found.architecture.component is get_registry().find(Architecture, "dcgan")
    assert found.architecture.config.z_dim == 7
    assert found.choices["loss"].component.name == "hinge"
    regularizers = found.each("loss.regularizers")
    assert [r.component.name for r in regularizers] == ["r1", "r2"]
    assert regularizers[0].config.gamma == 3.0
    assert found.choices["augment"].component.name == "ada"
    assert found.choices["data.source"].config.path == "photos"
    assert found.choices["data.text_encoder"].component.kind == "text encoder"
    assert found.choices["data.derive"].config.sigma == 2
    metrics = found.each("evaluate.metrics")
    assert [m.component.name for m in metrics] == ["fid", "kid"]
    assert metrics[1].config.subsets == 5
    assert found.choices["evaluate.extractor"].component.kind == "feature extractor"
    assert [stage.component.name for stage in found.stages] == ["prepare", "train"]


def test_resolve_leaves_what_is_not_chosen_empty(write):
    write("a.yaml", PLAIN)

    found = resolve(load_pipeline("a.yaml"))

    assert not {"augment", "data.source", "data.text_encoder"} & set(found.choices)
    paths = ("loss.regularizers", "evaluate.metrics", "stages")
    assert [found.each(path) for path in paths] == [(), (), ()]


def test_choice_is_built_once_from_its_options(write):
    write("a.yaml", FULL)
    choice = resolve(load_pipeline("a.yaml")).choices["loss.regularizers.0"]

    assert choice.built is choice.built
    assert choice.built.config is choice.config


def test_resolve_takes_components_of_the_given_registry(write):
    write("a.yaml", PLAIN)

    with pytest.raises(PluginNotFound, match="Unknown architecture 'dcgan'"):
        resolve(load_pipeline("a.yaml"), empty_registry())


def test_configuration_made_in_code_has_no_source_locations():
    config = PipelineConfig(name="a", model={"architecture": "nothing-such"}, stages=())

    with pytest.raises(PluginNotFound, match=r"model\.architecture: Unknown architecture"):
        resolve(config)
