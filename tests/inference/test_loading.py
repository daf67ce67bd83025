import dataclasses
import json
import logging

import pytest
import safetensors.torch
import torch

from ganforge.errors import ConfigError, PluginError, PluginNotFound, PublishError
from ganforge.hub.format import file_sha256
from ganforge.hub.pull import pull
from ganforge.inference.pretrained import PretrainedGan
from ganforge.registry.plugins import Plugin

load = PretrainedGan.from_pretrained


def edit_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_weights(folder, change):
    path = folder / "model.safetensors"
    state = safetensors.torch.load_file(path)
    change(state)
    safetensors.torch.save_file(state, path)
    edit_config(folder, weights_sha256=file_sha256(path))


def test_load_tampered_weights_are_refused(exported):
    path = exported / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(PublishError, match="model.safetensors of .*export is damaged: its sha256"):
        load(exported)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_load_missing_file_is_named(exported, name):
    (exported / name).unlink()
    with pytest.raises(PublishError, match=f"export has no {name}.*found: README.md, .*Export it"):
        load(exported)


def test_load_newer_format_says_upgrade(exported):
    edit_config(exported, format_version=2, ganforge_version="9.0", nobody_knows="this")
    with pytest.raises(PublishError, match=r"format 2; .* up to 1.*9.0: pip install --upgrade"):
        load(exported)


def test_load_config_of_another_library_says_so(exported):
    (exported / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(PublishError, match="no format_version: this is not a ganforge model"):
        load(exported)


def test_load_config_that_is_not_json_says_so(exported):
    (exported / "config.json").write_text("{")
    with pytest.raises(PublishError, match="is not JSON .*download the model again"):
        load(exported)


def test_load_invalid_config_names_the_field(exported):
    edit_config(exported, nimg=-1)
    with pytest.raises(PublishError, match="is not valid at 'nimg'.*Export or download"):
        load(exported)


SPEC = {"height": 8, "width": 8, "class_names": ["bag", "boot", "shirt"]}


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"image_spec": {}}, "image_spec.height"),
        ({"image_spec": SPEC | {"height": "32"}}, "image_spec.height"),
        ({"image_spec": SPEC | {"width": -8}}, "image_spec.width"),
        ({"image_spec": SPEC | {"width": True}}, "image_spec.width"),
        ({"image_spec": SPEC | {"channels": 7}}, "image_spec.channels"),
        ({"image_spec": SPEC | {"class_names": 5}}, "image_spec.class_names"),
        ({"image_spec": SPEC | {"class_names": [5]}}, "image_spec.class_names.0"),
        ({"image_spec": SPEC | {"colour": 1}}, "image_spec.colour"),
        ({"image_spec": SPEC | {"text_encoding": {"nam": "x"}}}, "image_spec.text_encoding.name"),
        ({"image_spec": [8, 8]}, "image_spec"),
        ({"image_spec": {"height": 8, "width": 8}}, "conditioning"),
        ({"conditioning": ["smell"]}, "conditioning"),
        ({"format_version": True}, "format_version"),
        ({"format_version": 0}, "format_version"),
        ({"format_version": "1"}, "format_version"),
        ({"roles": "generator"}, "roles"),
        ({"roles": ["discriminator"]}, "roles"),
        ({"roles": []}, "roles"),
        ({"dtype": "int64"}, "dtype"),
        ({"dtype": "nn"}, "dtype"),
    ],
)
def test_load_edited_config_names_file_and_key(exported, changes, key):
    edit_config(exported, **changes)
    with pytest.raises(PublishError, match=rf"config.json of .*export is not valid at '{key}': "):
        load(exported)


@pytest.mark.parametrize("name", ["", "  "])
def test_load_empty_name_is_not_the_current_folder(exported, monkeypatch, name):
    monkeypatch.chdir(exported)
    for read in (load, pull):
        with pytest.raises(PublishError, match=r"empty name .*Give an export's folder.*owner/name"):
            read(name)


def test_load_on_a_device_that_is_not_there_is_refused(exported):
    with pytest.raises(ConfigError, match="device='gpu': there is no such device"):
        load(exported, device="gpu")
    with pytest.raises(ConfigError, match="device='cuda:99': there is no such device"):
        load(exported, device="cpu").to("cuda:99")


def test_load_package_name_with_shell_syntax_is_refused(exported):
    edit_config(exported, plugin={"distribution": "x; rm -rf ~", "version": "1"})
    with pytest.raises(PublishError, match=r"not valid at 'plugin.distribution'"):
        load(exported)


def test_load_missing_plugin_names_the_package(exported, use_plugin):
    use_plugin()
    with pytest.raises(PluginNotFound, match="'tiny'.*'ganforge-tiny'.*pip install ganforge-tiny$"):
        load(exported)


def test_load_unknown_architecture_names_the_package(exported):
    edit_config(exported, architecture="tinny")
    with pytest.raises(PluginNotFound, match="architecture 'tinny'.*pip install ganforge-tiny"):
        load(exported)


def test_load_unknown_architecture_is_found_out_before_the_weights(exported, use_plugin):
    use_plugin()
    (exported / "model.safetensors").unlink()
    with pytest.raises(PluginNotFound):
        load(exported)


def test_load_unknown_option_names_it(exported):
    edit_config(exported, options={"z_dims": 4})
    with pytest.raises(ConfigError, match=r"config.json: options.z_dims.*Did you mean 'z_dim'"):
        load(exported)


@pytest.fixture
def installed(exported, use_plugin):
    from_export = Plugin("tiny", "ganforge_tiny", "ganforge-tiny", "1.2.0")

    def change(**changes):
        architecture = load(exported).architecture
        use_plugin(type(architecture), plugin=dataclasses.replace(from_export, **changes))

    return change


def test_load_older_major_version_of_plugin_is_refused(exported, installed):
    installed(version="0.9")
    with pytest.raises(PluginError, match=r"installed is 0.9, which.*'ganforge-tiny>=1.2.0'"):
        load(exported)


def test_load_older_minor_version_of_plugin_warns(exported, installed, caplog):
    installed(version="1.1")
    with caplog.at_level(logging.WARNING):
        load(exported)
    assert "exported with ganforge-tiny 1.2.0; installed is 1.1" in caplog.text


@pytest.mark.parametrize("version", ["1.2.0", "1.3", "2.0", "?"])
def test_load_same_newer_or_unknown_version_of_plugin_is_quiet(
    exported, installed, caplog, version
):
    installed(version=version)
    with caplog.at_level(logging.WARNING):
        load(exported)
    assert caplog.text == ""


def test_load_plugin_that_moved_to_another_package_warns(exported, installed, caplog):
    installed(distribution="ganforge-tiny-ng")
    with caplog.at_level(logging.WARNING):
        load(exported)
    assert "from the package ganforge-tiny; here ganforge-tiny-ng provides it" in caplog.text


def test_load_missing_and_unexpected_weights_are_named(exported):
    def rename(state):
        state["generator.stray"] = state.pop("generator.out.bias")

    edit_weights(exported, rename)
    with pytest.raises(
        PublishError,
        match="2 tensor.s. differ: missing generator.out.bias; unexpected generator.stray. "
        "Install .*'ganforge-tiny==1.2.0'",
    ):
        load(exported)


def test_load_weights_of_another_shape_are_named(exported):
    edit_weights(exported, lambda state: state.update({"generator.out.bias": torch.zeros(3)}))
    with pytest.raises(PublishError, match=r"generator.out.bias is \[3\], not \[192\]"):
        load(exported)


def test_load_file_that_is_not_safetensors_says_so(exported):
    path = exported / "model.safetensors"
    path.write_bytes(b"not tensors at all")
    edit_config(exported, weights_sha256=file_sha256(path))
    with pytest.raises(PublishError, match="cannot be read .*Export or download it again"):
        load(exported)


def test_load_missing_folder_says_so(tmp_path):
    with pytest.raises(PublishError, match="There is no folder .*nowhere. Check the path"):
        load(tmp_path / "nowhere")


def test_load_revision_of_a_folder_is_refused(exported):
    with pytest.raises(PublishError, match="revision='v1'.*is a folder on disk"):
        load(exported, revision="v1")


def test_load_run_folder_uses_its_export(exported):
    assert load(exported.parent).info == load(exported).info


def test_run_without_an_export_says_how_to_make_one(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(PublishError, match=r"is a run without an export.*'stages=\[publish\]'"):
        load(tmp_path)
