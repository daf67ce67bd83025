import dataclasses
import logging

import pytest
import safetensors.torch
import torch
from published import Tiny, edit_config

from ganforge.errors import ConfigError, PluginError, PluginNotFound, PublishError
from ganforge.hub.format import file_sha256
from ganforge.inference import loading
from ganforge.inference.pretrained import PretrainedGan
from ganforge.registry.plugins import Plugin

load = PretrainedGan.from_pretrained


def edit_weights(folder, change):
    path = folder / "model.safetensors"
    state = safetensors.torch.load_file(path)
    change(state)
    safetensors.torch.save_file(state, path)
    edit_config(folder, weights_sha256=file_sha256(path))


def test_load_on_a_device_that_is_not_there_is_refused(exported):
    with pytest.raises(ConfigError, match="device='gpu': there is no such device"):
        load(exported, device="gpu")
    with pytest.raises(ConfigError, match="device='cuda:99': there is no such device"):
        load(exported, device="cpu").to("cuda:99")


@pytest.mark.parametrize("roles", [["discriminator"], []])
def test_load_other_roles_than_the_architectures_are_refused(exported, roles):
    edit_config(exported, roles=roles)
    with pytest.raises(PublishError, match="config.json of .* is not valid at 'roles': "):
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
def no_memory(monkeypatch):
    """Networks are looked at on the meta device alone."""

    def built(self):
        assert torch.get_default_device().type == "meta", "memory was taken"
        return plain(self)

    plain = Tiny.networks
    monkeypatch.setattr(Tiny, "networks", built)


def test_load_of_huge_networks_is_refused_before_memory_is_taken(exported, no_memory):
    edit_config(exported, options={"z_dim": 10**9})
    with pytest.raises(PublishError, match=r"does not fit .*\(s\) differ: .*1000000003"):
        load(exported)


def test_load_beyond_the_memory_of_the_machine_is_refused(exported, no_memory, monkeypatch):
    monkeypatch.setattr(loading, "physical_memory", lambda: 1000)
    with pytest.raises(PublishError, match=r"would take .* GB; this machine has 0 GB"):
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
