import re

import pytest

from ganforge.config import find
from ganforge.config.choices import ComponentChoice
from ganforge.config.find import packaged_pipelines
from ganforge.config.load import data_section, load_pipeline
from ganforge.errors import ConfigError
from ganforge.registry.components import resolve


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
    assert config.loss.regularizers == (ComponentChoice(name="r2"),)


def test_load_extends_list_later_file_wins(write):
    write("more.yaml", "train: {seed: 7}\nname: more")
    write("child.yaml", "extends: [base.yaml, more.yaml]\ndescription: both")

    config = load_pipeline("child.yaml")

    assert (config.name, config.train.seed, config.train.total_kimg) == ("more", 7, 5)


def test_load_extends_is_relative_to_its_file(write):
    write("sub/child.yaml", "extends: ../base.yaml\nname: child")

    assert load_pipeline("sub/child.yaml").train.seed == 3


def test_load_extends_accepts_a_packaged_name(write, monkeypatch, tmp_path):
    monkeypatch.setattr(find, "packaged_pipelines", lambda: {"quick/base": tmp_path / "base.yaml"})
    write("sub/child.yaml", "extends: quick/base\nname: child")

    assert load_pipeline("sub/child.yaml").train.seed == 3


def test_load_another_component_drops_the_options_of_the_first(write):
    write("child.yaml", "extends: base.yaml\nloss: wasserstein\nmodel: {architecture: other, w: 1}")

    config = load_pipeline("child.yaml")

    assert config.loss.options == {}
    assert config.loss.regularizers == (ComponentChoice(name="r1", gamma=1),)
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


def test_load_merge_key_is_read_and_located(write, error_of):
    write(
        "a.yaml", "extends: base.yaml\ndata:\n  <<: {workers: 0,\n       flp: true}\n  flip: true"
    )

    assert "data.flp (a.yaml:4): unknown key 'flp'. Did you mean 'flip'" in error_of("a.yaml")


def test_data_section_is_made_of_settings():
    config = data_section(["source.path=photos", "source.name=folder", "resolution=64"])

    assert config.source == ComponentChoice(name="folder", path="photos")
    assert config.height_width == (64, 64)


def test_data_section_unknown_setting_is_named():
    with pytest.raises(ConfigError, match=r"data\.resolutoin \(override .*'resolution'"):
        data_section(["resolutoin=64"])


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
def test_error_in_the_yaml_text_is_located(write, error_of, text, expected):
    write("bad.yaml", text)

    assert re.search(expected, error_of("bad.yaml"))


def test_file_that_is_not_utf8_is_refused(write, error_of, tmp_path):
    (tmp_path / "bad.yaml").write_bytes(b"name: \xff")

    assert re.search(r"Cannot read bad\.yaml: .*It must be a UTF-8 text file", error_of("bad.yaml"))


def test_extends_in_a_circle_is_refused_with_its_files(write, error_of):
    write("a.yaml", "extends: b.yaml")
    write("b.yaml", "extends: a.yaml")

    assert "in a circle: a.yaml -> b.yaml -> a.yaml. Break it." in error_of("a.yaml")


def test_extends_of_one_file_along_two_ways_is_accepted(write):
    write("left.yaml", "extends: base.yaml")
    write("right.yaml", "extends: base.yaml")
    write("a.yaml", "extends: [left.yaml, right.yaml]\nname: a")

    assert load_pipeline("a.yaml").name == "a"


def test_extends_missing_file_names_the_line(write, error_of):
    write("a.yaml", "name: a\nextends: bas.yaml")

    message = error_of("a.yaml")

    assert message.startswith("extends (a.yaml:2): Pipeline file 'bas.yaml' does not exist")
    assert "Did you mean base.yaml?" in message


@pytest.mark.parametrize("name", sorted(packaged_pipelines()))
def test_packaged_pipeline_loads_and_its_components_exist(name):
    config = load_pipeline(name)

    resolve(config)


@pytest.mark.parametrize("home", ["~/runs/x", "~"])
def test_home_folder_is_expanded_in_every_text(write, monkeypatch, home):
    monkeypatch.setenv("HOME", "/home/me")
    write(
        "a.yaml",
        f"""
        extends: base.yaml
        run_dir: "{home}"
        data: {{source: {{name: zip, paths: ["{home}"]}}}}
        """,
    )

    config = load_pipeline("a.yaml", [f"data.shards={home}"])

    expected = home.replace("~", "/home/me")
    assert (config.run_dir, config.data.shards) == (expected, expected)
    assert config.data.source.options == {"paths": [expected]}


def test_tilde_inside_a_text_is_kept(write):
    write("a.yaml", "extends: base.yaml\ndescription: about ~/x\nrun_dir: a~b")

    config = load_pipeline("a.yaml")

    assert (config.description, config.run_dir) == ("about ~/x", "a~b")


def test_list_that_replaces_a_list_is_located_where_it_was_written(write, error_of):
    write("a.yaml", "extends: base.yaml\nloss:\n  regularizers:\n    - gamma: 3")

    assert "loss.regularizers.0.name (a.yaml:4): is missing" in error_of("a.yaml")
