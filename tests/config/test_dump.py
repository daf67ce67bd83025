from pathlib import Path

import yaml

from ganforge.config.dump import config_diff, dump_config
from ganforge.config.load import load_pipeline


def test_dump_hides_tokens_and_a_new_token_is_no_difference(tmp_path):
    def load(token):
        command = f"pipe:curl -H 'Authorization: Bearer {token}' http://localhost/a.tar"
        source = {"name": "webdataset", "urls": command}
        values = {"name": "x", "data": {"source": source}, "model": {"architecture": "dcgan"}}
        (tmp_path / "p.yaml").write_text(yaml.safe_dump(values))
        return load_pipeline(str(tmp_path / "p.yaml"))

    old, new = load("hf_" + "a" * 34), load("hf_" + "b" * 34)
    assert "aaaa" not in dump_config(old) and "Bearer hf_***" in dump_config(old)
    assert config_diff(old, new) == []


def test_dump_then_load_gives_the_same_configuration(write):
    config = load_pipeline("base.yaml", ["augment=ada", "train.optimizers={generator: {lr: 1e-4}}"])
    write("dumped.yaml", dump_config(config))

    again = load_pipeline("dumped.yaml")
    assert again == config
    # What is not set stays the architecture's to choose.
    assert again.train.optimizers["generator"].model_fields_set == {"lr"}


def test_equality_ignores_where_values_were_written(write):
    write("copy.yaml", "description: ''\n" + Path("base.yaml").read_text())

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


def test_dump_is_plain_yaml(write):
    assert yaml.safe_load(dump_config(load_pipeline("base.yaml")))["model"]["z_dim"] == 32
