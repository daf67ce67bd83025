import json
import os

import pytest
import torch
from torch.testing import assert_close
from training.toy import advance, toy_config, toy_run, weights

from ganforge.errors import CheckpointError
from ganforge.io.hashing import file_sha256
from ganforge.training.state import checkpoint as checkpoints
from ganforge.training.state.checkpoint import Checkpoint

EVERYTHING = {
    "train": {"slots": 2, "schedule": {"name": "cosine"}},
    "model": {"extra_phase_every": 3},
    "loss": {
        "regularizers": [{"name": "r1", "every": 4}, {"name": "path_length", "every": 2}],
        "n_critic": 2,
    },
}


@pytest.fixture
def saved(tmp_path):
    run = toy_run(toy_config(**EVERYTHING))
    advance(run, 5)
    path = tmp_path / checkpoints.directory_name(run.progress.nimg)
    checkpoints.save(path, run.snapshot())
    return run, path


def test_resume_continues_bit_for_bit(saved):
    run, path = saved
    advance(run, 7)
    resumed = toy_run(toy_config(**EVERYTHING))
    advance(resumed, 1)  # state that must be replaced
    resumed.restore(checkpoints.load(path), str(path))
    assert (resumed.progress.step, resumed.progress.nimg) == (5, 80)
    advance(resumed, 7)
    expected, found = weights(run), weights(resumed)
    assert expected.keys() == found.keys()
    for key, tensor in expected.items():
        assert torch.equal(found[key], tensor), key


def test_restore_refuses_another_architecture(saved):
    run, path = saved
    saved_state = checkpoints.load(path)
    saved_state.state["architecture"] = "dcgan"
    with pytest.raises(CheckpointError, match="of architecture 'dcgan', this run trains 'toy'"):
        run.restore(saved_state, str(path))


def test_restore_refuses_other_shapes_and_names_one(saved):
    _, path = saved
    wider = toy_run(toy_config(**{**EVERYTHING, "model": {"width": 9, "extra_phase_every": 3}}))
    with pytest.raises(CheckpointError, match="tensor.s. differ: .*another name"):
        wider.restore(checkpoints.load(path), str(path))


@pytest.mark.parametrize(
    "name", ["networks.safetensors", "state.json", "manifest.json", "config.yaml"]
)
@pytest.mark.parametrize("damage", ["empty", "flipped", "gone"])
def test_verify_names_any_damage(saved, name, damage):
    _, path = saved
    file = path / name
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(b"" if damage == "empty" else data)
    with pytest.raises(CheckpointError, match=f"{path.name} is damaged.*or delete it"):
        checkpoints.load(path)


def test_latest_falls_back_to_the_checkpoint_before_a_damaged_one(saved, caplog):
    run, path = saved
    advance(run, 1)
    newer = path.with_name(checkpoints.directory_name(run.progress.nimg))
    checkpoints.save(newer, run.snapshot())
    assert checkpoints.latest(path.parent) == newer
    (newer / "ema.safetensors").write_bytes(b"")
    assert checkpoints.latest(path.parent) == path
    assert newer.name in caplog.text and "ema.safetensors" in caplog.text
    (path / "ema.safetensors").unlink()
    with pytest.raises(CheckpointError, match="All 2 checkpoints .* are damaged"):
        checkpoints.latest(path.parent)


def test_load_refuses_a_newer_format(saved):
    _, path = saved
    state = json.loads((path / "state.json").read_text())
    (path / "state.json").write_text(json.dumps({**state, "format": 99}))
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["state.json"] = file_sha256(path / "state.json")
    (path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match="has format 99.*Use the ganforge that wrote it"):
        checkpoints.load(path)


def test_save_on_a_full_disk_keeps_the_earlier_checkpoint(small_disk):
    disk = small_disk("256k")
    small = Checkpoint({"networks": {"w": torch.zeros(100)}}, {"nimg": 1}, "name: x\n")
    checkpoints.save(disk / "nimg-000000001", small)
    large = Checkpoint({"networks": {"w": torch.zeros(200_000)}}, {"nimg": 2}, "name: x\n")
    with pytest.raises(CheckpointError, match="nimg-000000002: the disk is full.*Make room"):
        checkpoints.save(disk / "nimg-000000002", large)
    assert sorted(os.listdir(disk)) == ["nimg-000000001"]
    checkpoints.verify(disk / "nimg-000000001")


def test_prune_keeps_the_newest_and_removes_what_a_kill_left(tmp_path):
    for nimg in (1, 2, 3):
        checkpoints.save(tmp_path / checkpoints.directory_name(nimg), Checkpoint())
    (tmp_path / ".nimg-000000004.partial-0123abcd").mkdir()
    checkpoints.prune(tmp_path, keep=2)
    assert sorted(os.listdir(tmp_path)) == ["nimg-000000002", "nimg-000000003"]


def test_save_takes_weights_that_one_network_ties(tmp_path):
    tied = torch.ones(3)
    saved = Checkpoint({"networks": {"g.a": tied, "g.b": tied}}, {"nimg": 1}, "name: x\n")
    checkpoints.save(tmp_path / "nimg-000000001", saved)
    assert_close(checkpoints.load(tmp_path / "nimg-000000001").tensors, saved.tensors)


def test_load_reads_only_the_files_that_are_named(saved):
    _, path = saved
    assert checkpoints.load(path, files=("ema",)).tensors.keys() == {"ema"}
    assert checkpoints.load(path, files=()).tensors == {}
