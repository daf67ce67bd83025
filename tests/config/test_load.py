import re
import textwrap

import pytest
import yaml

from ganforge.config import load as pipeline_file
from ganforge.config.dump import config_diff, dump_config
from ganforge.config.load import data_section, find_pipeline, load_pipeline, packaged_pipelines
from ganforge.config.models import ComponentConfig, PipelineConfig
from ganforge.errors import ConfigError, PluginNotFound
from ganforge.interfaces.architecture import Architecture
from ganforge.interfaces.metric import Metric
from ganforge.interfaces.objective import Augmentation, Regularizer
from ganforge.interfaces.source import Source
from ganforge.interfaces.stage import Stage
from ganforge.registry.plugins import get_registry
from ganforge.registry.schema import json_schema
from ganforge.registry.validate import validate_components

BASE = """
    name: base
    model: {architecture: dcgan, z_dim: 32}
    loss:
      name: hinge
      margin: 2
      regularizers:
        - {name: r1, gamma: 1}
    train:
      total_kimg: 5
      seed: 3
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write YAML files in an empty working directory."""
    monkeypatch.chdir(tmp_path)

    def _write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
        return name

    _write("base.yaml", BASE)
    return _write


def fault(*args):
    """The message of the ConfigError that loading raises."""
    with pytest.raises(ConfigError) as caught:
        load_pipeline(*args)
    return str(caught.value)


# Loading ---------------------------------------------------------------------------------------


def test_load_minimal_file_fills_defaults(write):
    config = load_pipeline(write("a.yaml", "name: a\nmodel: {architecture: dcgan}"))

    assert config.loss.name == "nonsaturating"
    assert config.stages == ("prepare", "train", "evaluate", "publish")


def test_load_extends_merges_mappings_and_replaces_lists(write):
    write(
        "child.yaml",
        """
        extends: base.yaml
        name: child
        train: {seed: 4}
        loss: {regularizers: [r2]}
        """,
    )

    config = load_pipeline("child.yaml")

    assert (config.name, config.train.seed, config.train.total_kimg) == ("child", 4, 5)
    assert config.loss.name == "hinge"
    assert config.loss.options == {"margin": 2}
    assert config.loss.regularizers == (ComponentConfig(name="r2"),)


def test_load_extends_list_later_file_wins(write):
    write("more.yaml", "train: {seed: 7}\nname: more")
    write("child.yaml", "extends: [base.yaml, more.yaml]\ndescription: both")

    config = load_pipeline("child.yaml")

    assert (config.name, config.train.seed, config.train.total_kimg) == ("more", 7, 5)


def test_load_extends_is_relative_to_the_file_that_says_it(write):
    write("sub/child.yaml", "extends: ../base.yaml\nname: child")

    assert load_pipeline("sub/child.yaml").train.seed == 3


def test_load_extends_accepts_a_packaged_name(write, monkeypatch, tmp_path):
    monkeypatch.setattr(
        pipeline_file, "packaged_pipelines", lambda: {"quick/base": tmp_path / "base.yaml"}
    )
    write("sub/child.yaml", "extends: quick/base\nname: child")

    assert load_pipeline("sub/child.yaml").train.seed == 3


def test_load_another_component_drops_the_options_of_the_first(write):
    write("child.yaml", "extends: base.yaml\nloss: wasserstein\nmodel: {architecture: other, w: 1}")

    config = load_pipeline("child.yaml")

    assert config.loss.options == {}
    assert config.loss.regularizers == (ComponentConfig(name="r1", gamma=1),)
    assert config.model.options == {"w": 1}


def test_load_same_component_keeps_its_options(write):
    write("child.yaml", "extends: base.yaml\nmodel: {architecture: dcgan, width: 8}")

    assert load_pipeline("child.yaml").model.options == {"z_dim": 32, "width": 8}


def test_load_interpolates_keys_and_environment(write, monkeypatch):
    monkeypatch.setenv("SHARDS", "/data/shards")
    write(
        "a.yaml",
        """
        extends: base.yaml
        train: {log_every_kimg: "${train.total_kimg}"}
        data: {shards: "${oc.env:SHARDS}"}
        """,
    )

    config = load_pipeline("a.yaml", ["train.total_kimg=9"])

    assert config.train.log_every_kimg == 9
    assert config.data.shards == "/data/shards"


def test_load_merge_key_is_read_and_located(write):
    write(
        "a.yaml", "extends: base.yaml\ndata:\n  <<: {workers: 0,\n       flp: true}\n  flip: true"
    )

    assert "data.flp (a.yaml:4): unknown key 'flp'. Did you mean 'flip'" in fault("a.yaml")


# Overrides -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("train.total_kimg=7.5", "train.total_kimg", 7.5),
        ("train.optimizer.lr=1e-3", "train.optimizer.lr", 1e-3),
        ("stages=[train, evaluate]", "stages", ("train", "evaluate")),
        ("train.ema_rampup=null", "train.ema_rampup", None),
        ("data.flip=true", "data.flip", True),
        ("augment={name: ada, target: 0.6}", "augment", ComponentConfig(name="ada", target=0.6)),
        ("augment=ada", "augment", ComponentConfig(name="ada")),
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


def test_override_of_a_component_does_not_eat_its_options_in_any_order(write):
    config = load_pipeline("base.yaml", ["model.w=2", "model.architecture=other"])

    assert config.model.options == {"w": 2}


def test_override_last_one_wins(write):
    assert load_pipeline("base.yaml", ["train.seed=1", "train.seed=2"]).train.seed == 2


@pytest.mark.parametrize("override", ["train", "=3", "train.=3", "train..seed=3"])
def test_override_without_key_or_value_is_refused(write, override):
    assert re.search("is not of the form section.key=value, e.g.", fault("base.yaml", [override]))


def test_override_below_a_value_is_refused(write):
    message = fault("base.yaml", ["train.seed.x=1"])

    assert "'train.seed.x=1' cannot be applied: train.seed is the value 3" in message
    assert "Check the key against the pipeline file" in message


def test_override_of_a_missing_list_element_is_refused(write):
    assert "'loss.regularizers.5.gamma=1' cannot be applied" in fault(
        "base.yaml", ["loss.regularizers.5.gamma=1"]
    )


def test_override_that_is_not_yaml_is_refused(write):
    assert "Override 'stages=[train' cannot be applied" in fault("base.yaml", ["stages=[train"])


def test_override_unknown_key_says_that_it_is_an_override(write):
    message = fault("base.yaml", ["train.sed=1"])

    assert message.startswith("train.sed (override 'train.sed=1'): unknown key 'sed'.")
    assert "Did you mean 'seed'?" in message


def test_override_inside_a_written_list_is_located_at_the_override(write):
    override = "loss.regularizers=[{gamma: 1}]"

    assert f"loss.regularizers.0.name (override {override!r}): is missing" in fault(
        "base.yaml", [override]
    )


def test_list_that_replaces_a_list_is_located_where_it_was_written(write):
    write("a.yaml", "extends: base.yaml\nloss:\n  regularizers:\n    - gamma: 3")

    assert "loss.regularizers.0.name (a.yaml:4): is missing" in fault("a.yaml")


def test_data_section_is_made_of_settings():
    config = data_section(["source.path=photos", "source.name=folder", "resolution=64"])

    assert config.source == ComponentConfig(name="folder", path="photos")
    assert config.height_width == (64, 64)


def test_data_section_unknown_setting_is_named():
    with pytest.raises(ConfigError, match=r"data\.resolutoin \(override .*'resolution'"):
        data_section(["resolutoin=64"])


# Faults ----------------------------------------------------------------------------------------


def test_fault_unknown_key_names_nearest_file_and_line(write):
    write("a.yaml", "extends: base.yaml\ntrain:\n  seed: 1\n  totl_kimg: 5")

    message = fault("a.yaml")

    assert message.startswith("train.totl_kimg (a.yaml:4): unknown key 'totl_kimg'.")
    assert "Did you mean 'total_kimg'?" in message


def test_fault_in_an_extended_file_names_that_file(write):
    write("bad.yaml", "extends: base.yaml\ndata:\n  workers: many")
    write("child.yaml", "extends: bad.yaml\nname: child")

    assert "data.workers (bad.yaml:3): should be a valid integer" in fault("child.yaml")


def test_fault_key_of_another_section_names_the_section(write):
    write("a.yaml", "extends: base.yaml\ntotal_kimg: 5")

    assert "total_kimg (a.yaml:2): unknown key 'total_kimg'. It belongs in train." in fault(
        "a.yaml"
    )


def test_fault_wrong_type_shows_the_value(write):
    write("a.yaml", "extends: base.yaml\nstages: train")

    assert "stages (a.yaml:2): should be a list (got 'train')" in fault("a.yaml")


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


def test_fault_union_is_reported_once_with_all_forms(write):
    write("a.yaml", "extends: base.yaml\ndata: {resolution: big}")

    message = fault("a.yaml")

    assert message.count("data.resolution") == 1
    assert "valid integer" in message and "Or: should be a list" in message


def test_fault_rule_between_keys_says_what_to_use(write):
    message = fault("base.yaml", ["train.batch_size=100", "train.slots=8"])

    assert message.startswith("train (")
    assert "batch_size=100 cannot be cut into slots=8 equal parts; use a multiple of 8" in message
    assert "(got" not in message  # not the whole section


def test_fault_missing_section_is_named(write):
    write("a.yaml", "name: a")

    assert "model (a.yaml): is missing; add `model: ...` there." in fault("a.yaml")


def test_fault_several_are_listed_together(write):
    write("a.yaml", "extends: base.yaml\ntrain:\n  sed: 1\n  precision: fp8")

    message = fault("a.yaml")

    assert message.startswith("2 errors in the pipeline file:")
    assert "train.sed (a.yaml:3)" in message
    assert "train.precision (a.yaml:4): should be 'auto', 'bf16', 'fp32' or 'fp16'" in message
    assert "(got 'fp8')" in message


def test_fault_number_as_key_is_located(write):
    write("a.yaml", "extends: base.yaml\n7: x")

    assert "7 (a.yaml:2)" in fault("a.yaml")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: a\nmodel: [1", r"bad\.yaml:2 is not valid YAML: .*Check indentation"),
        ("name: a\nname: b", r"bad\.yaml:2 is not valid YAML: .*duplicate key name"),
        ("name: a\n\tmodel: b", r"bad\.yaml:2 is not valid YAML"),
        ("name: a\n---\nname: b", r"bad\.yaml:2 is not valid YAML: expected a single document"),
        ("", r"bad\.yaml is empty\. A pipeline needs at least"),
        ("# only a comment", r"bad\.yaml is empty"),
        ("- a\n- b", r"bad\.yaml:1 is not a mapping of sections"),
        ("text", r"bad\.yaml:1 is not a mapping of sections"),
        ("extends: 3", r"extends: 3 is not a file name \(bad\.yaml:1\)\. Write"),
        ("name: &a [*a]", r"An anchor contains itself \(bad\.yaml:1\)"),
        ("name: !!python/object:os.system x", r"bad\.yaml:1 is not valid YAML: .*python/object"),
        ("name: ${train.x}", r"name \(bad\.yaml:1\): Interpolation key 'train.x' not found\. Name"),
        (
            "name: ???",
            r"name \(bad\.yaml:1\): Missing mandatory value: name\. .*set a value: name=",
        ),
        ("name: ${", r"bad\.yaml"),
    ],
)
def test_fault_in_the_text_is_located(write, text, expected):
    write("bad.yaml", text)

    assert re.search(expected, fault("bad.yaml"))


def test_fault_not_utf8_is_named(write, tmp_path):
    (tmp_path / "bad.yaml").write_bytes(b"name: \xff")

    assert re.search(r"Cannot read bad\.yaml: .*It must be a UTF-8 text file", fault("bad.yaml"))


def test_extends_circle_shows_the_way_round(write):
    write("a.yaml", "extends: b.yaml")
    write("b.yaml", "extends: a.yaml")

    assert "in a circle: a.yaml -> b.yaml -> a.yaml. Break it." in fault("a.yaml")


def test_extends_diamond_is_no_circle(write):
    write("left.yaml", "extends: base.yaml")
    write("right.yaml", "extends: base.yaml")
    write("a.yaml", "extends: [left.yaml, right.yaml]\nname: a")

    assert load_pipeline("a.yaml").name == "a"


def test_extends_missing_file_names_the_line(write):
    write("a.yaml", "name: a\nextends: bas.yaml")

    message = fault("a.yaml")

    assert message.startswith("extends (a.yaml:2): Pipeline file 'bas.yaml' does not exist")
    assert "Did you mean base.yaml?" in message


def test_missing_file_lists_near_and_packaged_names(write, monkeypatch, tmp_path):
    monkeypatch.setattr(pipeline_file, "packaged_pipelines", lambda: {"quickstart": tmp_path})

    assert "Did you mean base.yaml?" in fault("bsae.yaml")
    assert "Did you mean quickstart?" in fault("quickstrt")
    assert "packaged name: quickstart." in fault("nothing-like-it")


def test_folder_in_place_of_a_file_is_refused(write, tmp_path):
    assert "is a folder" in fault(str(tmp_path))


# Packaged pipelines ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(packaged_pipelines()))
def test_packaged_pipeline_loads_and_its_components_exist(name):
    config = load_pipeline(name)

    validate_components(config, get_registry())


@pytest.mark.parametrize("suffix", ["", ".yaml"])
def test_packaged_pipeline_is_found_by_name(monkeypatch, tmp_path, suffix):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "a.yaml"
    monkeypatch.setattr(pipeline_file, "packaged_pipelines", lambda: {"quick/a": file})

    assert find_pipeline(f"quick/a{suffix}") == file


def test_packaged_pipelines_are_found_in_package_and_checkout(monkeypatch, tmp_path):
    for folder in ("pkg/pipelines/quick", "pipelines"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "pkg/pipelines/quick/a.yaml").touch()
    (tmp_path / "pipelines/b.yml").touch()
    monkeypatch.setattr(pipeline_file, "__file__", str(tmp_path / "pkg" / "config" / "load.py"))

    assert set(packaged_pipelines()) == {"quick/a"}
    (tmp_path / "pyproject.toml").touch()
    assert set(packaged_pipelines()) == {"quick/a", "b"}


# Components ------------------------------------------------------------------------------------


def component_fault(write, text, *overrides, error=ConfigError):
    write("a.yaml", text)
    with pytest.raises(error) as caught:
        validate_components(load_pipeline("a.yaml", overrides), get_registry())
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
        (
            "evaluate: {metrics: [{name: fid, extractor: x}]}",
            r"evaluate\.metrics\.0\.extractor\.name \(a\.yaml:1\): Unknown feature",
        ),
        ("data: {source: foldr}", r"data\.source\.name \(a\.yaml:1\): Unknown source 'foldr'"),
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


def test_component_faults_are_all_listed(write):
    message = component_fault(write, PLAIN, "model.q=1", "loss=hing")

    assert message.startswith("2 errors in the pipeline file:")


def test_valid_components_pass(write):
    write("a.yaml", PLAIN)

    validate_components(load_pipeline("a.yaml", ["loss.regularizers=[r1]"]), get_registry())


# Dump and diff ---------------------------------------------------------------------------------


def test_dump_then_load_gives_the_same_configuration(write):
    config = load_pipeline("base.yaml", ["augment=ada", "train.optimizers={generator: {lr: 1e-4}}"])
    write("dumped.yaml", dump_config(config))

    again = load_pipeline("dumped.yaml")
    assert again == config
    # What is not set stays the architecture's to choose.
    assert again.train.optimizers["generator"].model_fields_set == {"lr"}


def test_equality_ignores_where_values_were_written(write):
    write("copy.yaml", "description: ''\n" + textwrap.dedent(BASE))

    assert load_pipeline("copy.yaml") == load_pipeline("base.yaml")
    assert load_pipeline("base.yaml") != load_pipeline("base.yaml", ["train.seed=9"])


def test_diff_names_each_changed_leaf(write):
    old = load_pipeline("base.yaml")
    new = load_pipeline(
        "base.yaml", ["train.seed=4", "loss.regularizers.0.gamma=2", "model.w=1", "stages=[train]"]
    )

    assert sorted(config_diff(old, new)) == [
        "loss.regularizers.0.gamma: 1 -> 2",
        "model.w: (absent) -> 1",
        "stages: ['prepare', 'train', 'evaluate', 'publish'] -> ['train']",
        "train.seed: 3 -> 4",
    ]


def test_diff_of_equal_configurations_is_empty(write):
    assert config_diff(load_pipeline("base.yaml"), load_pipeline("base.yaml")) == []


def test_configuration_made_in_code_has_no_origins():
    config = PipelineConfig(name="a", model={"architecture": "nothing-such"}, stages=())

    with pytest.raises(PluginNotFound, match=r"model\.architecture: Unknown architecture"):
        validate_components(config, get_registry())


# Schema ----------------------------------------------------------------------------------------


def references(node):
    """All $ref targets inside a schema."""
    if isinstance(node, dict):
        own = [node["$ref"]] if "$ref" in node else []
        return own + [ref for value in node.values() for ref in references(value)]
    return [ref for value in node for ref in references(value)] if isinstance(node, list) else []


def test_schema_references_resolve():
    schema = json_schema(get_registry())

    assert {ref.removeprefix("#/$defs/") for ref in references(schema)} <= set(schema["$defs"])


@pytest.mark.parametrize(
    "kind", [Architecture, Regularizer, Augmentation, Metric, Source], ids=lambda k: k.__name__
)
def test_schema_offers_every_component_with_its_options(kind):
    registry = get_registry()
    definitions = json_schema(registry)["$defs"]

    for name in registry.names(kind):
        offered = definitions[f"{kind.__name__}.{name}"]
        assert set(registry.find(kind, name).Config.model_fields) <= set(offered["properties"])
        assert offered["additionalProperties"] is False


def test_schema_lets_each_metric_name_an_extractor():
    definitions = json_schema(get_registry())["$defs"]

    for name in get_registry().names(Metric):
        offered = definitions[f"Metric.{name}"]["properties"]["extractor"]
        assert offered["anyOf"] == [{"$ref": "#/$defs/FeatureExtractor"}]


def test_schema_covers_every_section_and_extends():
    schema = json_schema(get_registry())

    assert set(schema["properties"]) == {*PipelineConfig.model_fields, "extends"}
    assert schema["properties"]["stages"]["items"].get("enum", []) == get_registry().names(Stage)
    assert "required" not in schema


def test_dump_is_plain_yaml(write):
    assert yaml.safe_load(dump_config(load_pipeline("base.yaml")))["model"]["z_dim"] == 32
