"""A killed run resumes bit for bit, and only with the settings and images that it had."""

import json
import os
import signal

import pytest
from tiny_runs import CYCLEGAN, DCGAN, write_noise, write_pipeline
from training.forked import end, import_all, said, start, wait_for
from training.toy import toy_config, toy_run

from ganforge.errors import CheckpointError
from ganforge.training.state.checkpoint import Checkpoint
from ganforge.training.state.resume import (
    check_resumable,
    check_same_data,
    check_same_precision,
)

LAST = "checkpoints/nimg-000000120"
TRAIN_TO_LAST = {
    "batch_size": 4,
    "slots": 2,
    "total_kimg": 0.12,
    "checkpoint_every_kimg": 0.044,
    "log_every_kimg": 0.004,
    "sample_every_kimg": 0.06,
    "sample_grid": [2, 2],
    "trackers": [],
}
MODELS = {
    "dcgan": {
        "data": {"source": {"name": "folder", "path": "images"}, "resolution": 8},
        "model": DCGAN,
        "loss": {"regularizers": [{"name": "path_length", "every": 4}]},
        "augment": "ada",
    },
    "cyclegan": {
        "data": {
            "source": {"name": "unpaired", "source": "images/a", "target": "images/b"},
            "resolution": 16,
            "resize": "stretch",
        },
        "model": CYCLEGAN,
        "loss": "least_squares",
    },
}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    import_all()
    folder = tmp_path_factory.mktemp("kill")
    for seed, domain in enumerate(("a", "b")):
        write_noise(folder / "images" / domain, 25, seed=seed)
    return folder


def write(folder, name, model):
    sections = json.loads(json.dumps(MODELS[model]))
    sections["data"] |= {"workers": 2, "shuffle_window": 7, "samples_per_shard": 9}
    write_pipeline(folder, name, stages=["prepare", "train"], train=TRAIN_TO_LAST, **sections)


def finish(folder, name):
    ranks = start(folder, 1, name)
    assert end(ranks) == [0], said(folder, name)
    return (folder / f"{name}-0.txt").read_text()


@pytest.mark.parametrize("model", MODELS)
def test_kill_and_resume_equals_an_uninterrupted_run(images, model):
    for name in (f"{model}-whole", f"{model}-killed"):
        write(images, name, model)
    finish(images, f"{model}-whole")

    run_dir = images / "runs" / f"{model}-killed"
    (victim,) = start(images, 1, f"{model}-killed")
    # 44 images: the middle of the first epoch of 25 + 25 (or of the second of 25).
    wait_for(run_dir / "checkpoints" / "nimg-000000044", victim)
    os.killpg(victim.pid, signal.SIGKILL)
    assert end([victim]) == [-signal.SIGKILL]
    assert not (run_dir / "checkpoints" / "nimg-000000120").exists()
    assert "Resumed from" in finish(images, f"{model}-killed")

    manifests = [
        json.loads((images / "runs" / f"{model}-{kind}" / LAST / "manifest.json").read_text())
        for kind in ("whole", "killed")
    ]
    for manifest in manifests:
        manifest.pop("config.yaml")  # holds the run's name
    assert manifests[0] == manifests[1]
    assert manifests[0].keys() >= {"networks.safetensors", "optimizers.safetensors", "state.json"}
    assert logged(images / "runs" / f"{model}-whole") == logged(run_dir)


def logged(run_dir):
    records = map(json.loads, (run_dir / "log.jsonl").read_text().splitlines())
    return [record["nimg"] for record in records if "by" not in record]


TRAIN = {"slots": 2, "schedule": {"name": "cosine"}}


def started(**train):
    run = toy_run(toy_config({**TRAIN, **train}))
    run.data_digest = "0" * 64
    return run, run.snapshot()


def test_check_resumable_shows_each_change_that_matters(tmp_path):
    run, checkpoint = started()
    check_resumable(checkpoint, run.config, tmp_path)
    changed = toy_config({**TRAIN, "batch_size": 32, "seed": 1})
    with pytest.raises(CheckpointError) as caught:
        check_resumable(checkpoint, changed, tmp_path)
    assert "train.batch_size: 16 -> 32" in str(caught.value)
    assert "train.seed: 0 -> 1" in str(caught.value)
    assert "another name" in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"evaluate": {"num_images": 7}},
        {"train": {**TRAIN, "compile": True}},
        {"train": {**TRAIN, "cpu_optimizations": "off"}},
        {"train": {**TRAIN, "cpu_threads": 1}},
        {"train": {**TRAIN, "health": {"rollback": True}}},
        {"train": {**TRAIN, "standing_statistics": {"batches": 2}}},
    ],
)
def test_check_resumable_allows_what_does_not_shape_the_run(tmp_path, change):
    _, checkpoint = started()
    check_resumable(checkpoint, toy_config(**{"train": TRAIN, **change}), tmp_path)


def test_check_resumable_allows_longer_training_unless_the_schedule_ends_with_it(tmp_path):
    _, checkpoint = started()
    with pytest.raises(CheckpointError, match="train.total_kimg"):
        check_resumable(checkpoint, toy_config({**TRAIN, "total_kimg": 9}), tmp_path)
    for schedule in ({"name": "constant"}, {"name": "cosine", "decay_end_kimg": 1}):
        _, checkpoint = started(schedule=schedule)
        longer = toy_config({**TRAIN, "schedule": schedule, "total_kimg": 9})
        check_resumable(checkpoint, longer, tmp_path)


def test_check_resumable_refuses_another_number_of_slots(tmp_path):
    _, checkpoint = started()
    with pytest.raises(CheckpointError, match="train.slots is 4, but .* has 2 slots"):
        check_resumable(checkpoint, toy_config({**TRAIN, "slots": 4}), tmp_path)


def test_check_same_data_refuses_other_images(tmp_path):
    _, checkpoint = started()
    check_same_data(checkpoint, "0" * 64, tmp_path)
    with pytest.raises(CheckpointError, match="shards have changed since.*Restore them"):
        check_same_data(checkpoint, "f" * 64, tmp_path)


def test_check_same_precision_wants_a_new_precision_by_name(tmp_path, caplog):
    saved = Checkpoint(state={"precision": "bf16"})
    check_same_precision(saved, "auto", "bf16", tmp_path)
    with pytest.raises(CheckpointError, match="trained in bf16.*precision=fp32 to change over"):
        check_same_precision(saved, "auto", "fp32", tmp_path)
    assert not caplog.records
    check_same_precision(saved, "fp32", "fp32", tmp_path)
    assert "trained in bf16; the run continues in fp32" in caplog.text
