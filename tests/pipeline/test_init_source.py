"""`init.from`: every kind of source is found, and faults are named before data are prepared."""

import json
import logging
import shutil

import numpy as np
import pytest
import safetensors.torch
import torch
import yaml
from PIL import Image
from training.toy import advance, toy_config, toy_run

import ganforge
from ganforge.config.init import InitConfig
from ganforge.errors import CheckpointError, ConfigError
from ganforge.pipeline.init_source import read_source
from ganforge.pipeline.run import run_pipeline
from ganforge.pipeline.session import _runtime
from ganforge.training.state import checkpoint as checkpoints


@pytest.fixture
def here(tmp_path, monkeypatch):
    _runtime.cache_clear()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / "images" / f"{number}.png")
    return tmp_path


def run(name, *overrides, **sections):
    """Run a tiny pipeline from images to an export."""
    pipeline = {
        "name": name,
        "stages": ["prepare", "train", "publish"],
        "data": {
            "source": {"name": "folder", "path": "images"},
            "resolution": 8,
            "channels": 3,
            "workers": 0,
        },
        "model": {"architecture": "dcgan", "z_dim": 4, "base_channels": 4},
        "train": {
            "batch_size": 4,
            "total_kimg": 0.008,
            "sample_grid": [2, 2],
            "trackers": [],
            "compile": False,
        },
        "publish": {"discriminator": True},
    }
    with open(f"{name}.yaml", "w") as file:
        yaml.safe_dump({**pipeline, **sections}, file)
    return run_pipeline(f"{name}.yaml", overrides)


def tensors(folder, name="networks"):
    return safetensors.torch.load_file(
        checkpoints.latest(folder / "checkpoints") / f"{name}.safetensors"
    )


@pytest.fixture
def first(here):
    return run("first").run_dir


def sources(first):
    return {
        "run": first,
        "checkpoint": checkpoints.latest(first / "checkpoints"),
        "export": first / "export",
    }


def test_read_source_gives_the_same_networks_of_run_checkpoint_and_export(first):
    expected = read_source(InitConfig.model_validate(str(first))).tensors
    for path in sources(first).values():
        found = read_source(InitConfig.model_validate(str(path))).tensors
        assert found.keys() == {"generator", "discriminator"}
        for role, state in found.items():
            assert all(torch.equal(tensor, expected[role][key]) for key, tensor in state.items())


def test_read_source_of_a_run_without_checkpoints_is_its_export(first):
    shutil.rmtree(first / "checkpoints")
    assert read_source(InitConfig.model_validate(str(first))).tensors.keys() == {
        "generator",
        "discriminator",
    }


@pytest.mark.parametrize("kind", ["run", "export"])
def test_second_run_goes_on_without_the_first_and_exports(here, first, kind, caplog):
    source = str(sources(first)[kind])
    before = {k: v for k, v in tensors(first).items() if k.startswith("discriminator.")}
    frozen = next(k.rpartition(".")[0] for k in before if k.endswith("weight"))
    sections = {"init": {"from": source, "freeze": [frozen]}}
    with caplog.at_level(logging.INFO):
        second = run("second", "stages=[prepare,train]", **sections).run_dir
    assert "init: starts from" in caplog.text
    assert torch.equal(tensors(second)[f"{frozen}.weight"], before[f"{frozen}.weight"])
    shutil.rmtree(first)
    # Longer, so that it resumes; and the export needs the source as little.
    run("second", "train.total_kimg=0.016", **sections)
    assert torch.equal(tensors(second)[f"{frozen}.weight"], before[f"{frozen}.weight"])
    model = ganforge.from_pretrained(second / "export")
    assert model.generate(2, output_type="pt").shape == (2, 3, 8, 8)
    assert f"| started from | {source} |" in (second / "export" / "README.md").read_text()


def test_warm_started_run_begins_with_the_weights_of_the_export(here, first):
    exported = safetensors.torch.load_file(first / "export" / "model.safetensors")
    # A rate of nearly nothing: what is trained is what it started from.
    second = run("second", init="runs/first/export", **{"train": {
        "batch_size": 4, "total_kimg": 0.004, "trackers": [], "compile": False,
        "optimizer": {"lr": 1e-12}, "sample_grid": [2, 2],
    }}).run_dir  # fmt: skip
    for key, tensor in tensors(second).items():
        if key in exported and "running" not in key and "num_batches" not in key:
            torch.testing.assert_close(tensor, exported[key])


def test_changed_init_is_refused_on_resume(here, first):
    run("second", "stages=[prepare,train]", init={"from": "runs/first"})
    with pytest.raises(CheckpointError, match="init.from: 'runs/first' -> None"):
        run("second", "train.total_kimg=0.016")


@pytest.mark.parametrize(
    ("init", "message"),
    [
        ({"from": "runs/nothing"}, "init.from is 'runs/nothing': There is no runs/nothing"),
        ({"from": "org/nothing"}, "init.from is 'org/nothing': .*no folder has this name"),
        ({"from": "./nothing"}, "init.from is './nothing': There is no folder ./nothing"),
        ({"from": "images"}, "images has no config.json, so it is not a complete ganforge model"),
        ({"from": "runs/first", "revision": "main"}, "a checkpoint on disk has no revisions"),
        ({"from": "runs/first/export", "revision": "v1"}, "has no revisions. Leave it out"),
        ({"from": "runs/first", "roles": {"g": "generator"}}, "there is no network 'g'"),
        ({"from": "runs/first", "roles": {"generator": "g"}}, "has no network 'g'"),
        ({"from": "runs/first", "freeze": ["discriminator.x"]}, "'discriminator.x' matches no"),
    ],
)
def test_init_that_cannot_work_is_refused_before_data_are_prepared(
    here, first, init, message, monkeypatch
):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ConfigError, match=message):
        run("second", init=init)
    assert not (here / "runs" / "second").exists()


def test_init_of_an_unknown_role_is_refused_before_the_size_of_the_data_is_known(here, first):
    data = {"source": {"name": "folder", "path": "images"}, "workers": 0}
    with pytest.raises(ConfigError, match="runs/first.* has no network 'g'. Valid: discriminator"):
        run("second", data=data, init={"from": "runs/first", "roles": {"generator": "g"}})
    assert not (here / "runs" / "second").exists()


def test_init_with_damaged_weights_is_refused(here, first):
    path = first / "export" / "discriminator.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ConfigError, match="discriminator.safetensors of .* is damaged"):
        run("second", init=str(first / "export"))


def test_init_of_the_toy_reads_its_checkpoint(tmp_path):
    toy = toy_run(toy_config())
    advance(toy, 1)
    checkpoints.save(tmp_path / "checkpoints" / checkpoints.directory_name(16), toy.snapshot())
    found = read_source(InitConfig.model_validate(str(tmp_path)))
    assert (found.architecture, found.nimg) == ("toy", 16)
    assert json.dumps(found.options) == "{}"
