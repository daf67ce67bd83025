import pytest

from ganforge.config.dump import config_diff, dump_config
from ganforge.config.init import InitConfig
from ganforge.config.load import load_pipeline
from ganforge.errors import ConfigError

PIPELINE = "name: a\nmodel: {architecture: dcgan}\n"


@pytest.fixture
def load(tmp_path):
    def load(init, *overrides):
        (tmp_path / "a.yaml").write_text(f"{PIPELINE}init: {init}\n")
        return load_pipeline(str(tmp_path / "a.yaml"), overrides)

    return load


@pytest.mark.parametrize(
    "init", ["runs/first", "{from: runs/first}", "{from: runs/first, roles: {}}"]
)
def test_init_path_alone_is_the_source(load, init):
    assert load(init).init == InitConfig.model_validate({"from": "runs/first"})


def test_init_override_may_be_a_path_a_key_or_nothing(load):
    assert load("runs/first", "init=runs/other").init.source == "runs/other"
    assert load("{from: a, freeze: [generator]}", "init.from=007").init.source == "007"
    assert load("runs/first", "init=null").init == InitConfig()


def test_init_survives_a_dump_and_shows_in_a_difference(load, tmp_path):
    config = load("{from: org/name, revision: v1, roles: {g: h}, freeze: [g.layers]}")
    (tmp_path / "dump.yaml").write_text(dump_config(config))
    assert load_pipeline(str(tmp_path / "dump.yaml")) == config
    assert "init.from: 'org/name' -> None" in config_diff(config, load("{}"))


@pytest.mark.parametrize(
    ("init", "message"),
    [
        ("{roles: {generator: generator}}", "roles needs a source; add `from"),
        ("{revision: main, freeze: [generator]}", "revision needs a source"),
        ("{source: runs/first}", "unknown key 'source'.*Valid: freeze, from, revision, roles"),
        ("''", "at least 1 character"),
        ("7", "should be a mapping"),
    ],
)
def test_init_refuses_what_has_no_meaning(load, init, message):
    with pytest.raises(ConfigError, match=message):
        load(init)


def test_init_schema_takes_a_path_or_a_section():
    path, section = InitConfig.model_json_schema()["anyOf"]
    assert path == {"type": "string"}
    assert section["properties"].keys() == {"from", "revision", "roles", "freeze"}
