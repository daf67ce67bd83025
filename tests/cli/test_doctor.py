import json
import types

import pytest

from ganforge.api import AdversarialLoss, hookimpl
from ganforge.cli import _doctor
from ganforge.errors import PluginConflict
from ganforge.metrics.weights import weights_url
from ganforge.registry import plugins as registry


@pytest.fixture(autouse=True)
def no_test_compilation(monkeypatch):
    monkeypatch.setattr("ganforge.training.compiler._toy_fault", lambda device: None)


def findings_of(check):
    return {finding.topic: finding for finding in check}


def test_doctor_prints_a_line_per_finding(ganforge):
    output = ganforge("doctor").stdout

    for topic in ("python", "torch", "device", "compile", "launch", "plugins", "disk", "hub token"):
        assert topic in output


def test_doctor_json_is_a_list_of_findings(ganforge):
    printed = json.loads(ganforge("doctor", "--json").stdout)

    assert {"status", "topic", "text"} == set(printed[0])


def test_doctor_fails_when_something_would_stop_a_run(ganforge, monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")

    monkeypatch.setenv("ALL_PROXY", "socks://127.0.0.1:9")

    out = ganforge("doctor", code=1).stdout

    assert "ACCELERATE_USE_FSDP=true: the accelerate configuration selects FSDP" in out
    assert "ALL_PROXY is 'socks://127.0.0.1:9'" in out


@pytest.mark.parametrize("kind", ["FSDP", "DEEPSPEED"])
def test_accelerate_config_that_shards_is_refused(tmp_path, kind):
    path = tmp_path / "accelerate" / "default_config.yaml"
    path.parent.mkdir()
    path.write_text(f"distributed_type: {kind}\n")

    found = findings_of(_doctor.accelerate_config({"HF_HOME": str(tmp_path)}))["accelerate config"]

    assert found.status == "FAIL"
    assert f"{path} selects {kind}" in found.text
    assert "run `accelerate config` again" in found.text


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (b"distributed_type: MULTI_GPU", "ok"),
        (b"a: [", "warn"),
        (b"- 1", "warn"),
        ("distributed_type: NO".encode("utf-16"), "warn"),
    ],
)
def test_accelerate_config_otherwise_is_shown(tmp_path, text, status):
    path = tmp_path / "accelerate" / "default_config.yaml"
    path.parent.mkdir()
    path.write_bytes(text)

    found = findings_of(_doctor.accelerate_config({"HF_HOME": str(tmp_path)}))

    assert found["accelerate config"].status == status


GROUP = {"RANK": "1", "WORLD_SIZE": "4", "MASTER_ADDR": "n1", "MASTER_PORT": "29500"}


def test_launch_shows_variables_and_says_what_lone_slurm_tasks_would_do():
    environ = {"SLURM_NTASKS": "4", "SLURM_PROCID": "1"}

    first, second = _doctor._launch(environ)

    assert first.text == "SLURM_NTASKS=4 SLURM_PROCID=1"
    assert second.status == "warn" and "each task would train its own model" in second.text
    assert len(list(_doctor._launch({"SLURM_NTASKS": "4", "SLURM_PROCID": "1", **GROUP}))) == 1


def test_token_is_never_shown(monkeypatch):
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "hf_secret")

    (found,) = _doctor._hub_token({})

    assert (found.status, found.text) == ("ok", "present")


def test_missing_token_says_how_to_log_in(monkeypatch):
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)

    assert "hf auth login" in next(_doctor._hub_token({})).text


def test_broken_plugin_is_reported_not_raised(monkeypatch):
    def fail():
        raise PluginConflict("Two plugins. Uninstall one.")

    monkeypatch.setattr("ganforge.registry.plugins.get_registry", fail)

    (found,) = _doctor._plugins()

    assert (found.status, found.text) == ("FAIL", "Two plugins. Uninstall one.")


def test_conflict_that_shows_when_components_are_looked_up_is_reported(monkeypatch):
    made = registry.empty_registry()
    for name in ("one", "two"):
        loss = type("Made", (AdversarialLoss,), {"name": "made", "__doc__": "Made up."})
        module = types.ModuleType(name)
        module.ganforge_losses = hookimpl(lambda loss=loss: [loss])
        made.register(module, registry.Plugin(name, name, name, "1"))
    monkeypatch.setattr(registry, "get_registry", lambda: made)

    (found,) = _doctor._plugins()

    assert found.status == "FAIL" and "Two plugins provide the loss 'made'" in found.text


def test_missing_package_fails(monkeypatch):
    monkeypatch.setattr(_doctor, "_PACKAGES", ("ganforge", "ganforge-no-such-package"))

    found = findings_of(_doctor._versions())

    assert found["ganforge-no-such-package"].status == "FAIL"
    assert "pip install ganforge-no-such-package" in found["ganforge-no-such-package"].text


@pytest.mark.parametrize(
    ("fault", "status", "said"),
    [(None, "ok", "for cpu worked"), ("no g++", "warn", "uncompiled, and slower: no g++")],
)
def test_compiler_is_what_a_run_would_find(monkeypatch, fault, status, said):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("ganforge.training.compiler.compiler_fault", lambda device: fault)

    (found,) = _doctor._compiler()

    assert found.status == status and said in found.text


def test_low_disk_warns(tmp_path, monkeypatch):
    monkeypatch.setattr(_doctor, "_LOW_DISK_BYTES", 2**80)

    assert findings_of(_doctor._disk(tmp_path / "new" / "runs"))["disk"].status == "warn"


def test_unwritable_run_dir_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(_doctor.os, "access", lambda path, mode: False)

    found = findings_of(_doctor._disk(tmp_path))["run dir"]

    assert found.status == "FAIL" and "set run_dir elsewhere" in found.text


@pytest.mark.parametrize("folder", ["own", "hub/checkpoints"])
def test_cached_inception_weights_are_found(tmp_path, monkeypatch, folder):
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr("ganforge.io.cache.default_cache_dir", lambda: tmp_path / "own")

    assert next(_doctor._inception()).status == "warn"
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / folder / weights_url().rpartition("/")[2]).touch()
    assert next(_doctor._inception()).status == "ok"
