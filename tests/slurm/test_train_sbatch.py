"""slurm/train.sbatch on a real Slurm: two nodes, a warning before the time limit, too few tasks."""

import json
import time

import numpy as np
import pytest
import yaml
from PIL import Image
from slurm.cluster import wait_until

pytestmark = [pytest.mark.slurm, pytest.mark.xdist_group("slurm")]
TWO_NODES = ("--nodes=2", "--ntasks-per-node=1")


def write_pipeline(folder, total_kimg):
    (folder / "images").mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    for number in range(16):
        pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{number}.png")
    pipeline = {
        "name": "tiny",
        "stages": ["prepare", "train"],
        "data": {"source": {"name": "folder", "path": "images"}, "resolution": 8, "workers": 0},
        "model": {"architecture": "dcgan", "z_dim": 4, "base_channels": 4},
        "train": {
            "batch_size": 4,
            "total_kimg": total_kimg,
            "log_every_kimg": 0.02,
            "sample_every_kimg": 100,
            "sample_grid": [2, 2],
            "checkpoint_every_kimg": 100,
            "compile": False,
            "health": {"enabled": False},
            "trackers": [],
        },
    }
    (folder / "tiny.yaml").write_text(yaml.safe_dump(pipeline))


def wait_for_state(cluster, number, folder, state):
    def reached():
        found = cluster.job(number)["JobState"]
        ended = found in ("FAILED", "COMPLETED", "TIMEOUT", "CANCELLED") and found != state
        assert not ended, f"{found}\n{(folder / 'job.log').read_text()}"
        return found == state

    wait_until(reached, f"job {number} to be {state}", 240)


def start_again(cluster, number):
    """Slurm holds a requeued job back for two minutes, which this cuts short."""
    # The nodes need two of these seconds to take credentials for this job again.
    time.sleep(2.5)

    def started():
        if cluster.job(number)["JobState"] != "PENDING":
            return True
        # Again and again: the end of the first life may set the start back once more.
        cluster.call("scontrol", "update", f"JobId={number}", "StartTime=now")
        time.sleep(1.5)
        return False

    wait_until(started, f"job {number} to start again")


def logged_nimg(folder):
    path = folder / "runs" / "tiny" / "log.jsonl"
    if not path.exists():
        return []
    records = [json.loads(line) for line in path.read_text().splitlines() if line]
    return [record["nimg"] for record in records if "by" not in record]


def last_state(folder):
    checkpoint = sorted((folder / "runs" / "tiny" / "checkpoints").glob("nimg-*"))[-1]
    return json.loads((checkpoint / "state.json").read_text())


def test_train_sbatch_two_nodes_train_one_run(cluster, tmp_path):
    write_pipeline(tmp_path, total_kimg=99)
    number = cluster.submit(tmp_path, *TWO_NODES, "tiny.yaml", "train.total_kimg=0.06")
    wait_for_state(cluster, number, tmp_path, "COMPLETED")
    state = last_state(tmp_path)
    assert state["nimg"] == 60
    assert state["num_slots"] == 2  # by default the number of ranks: they found each other


def test_train_sbatch_warned_saves_requeues_and_finishes(cluster, tmp_path):
    write_pipeline(tmp_path, total_kimg=100)
    number = cluster.submit(tmp_path, *TWO_NODES, "tiny.yaml")
    wait_until(lambda: logged_nimg(tmp_path), "the first log line", 240)
    # What --signal=B:USR1@300 does before a time limit.
    cluster.call("scancel", "--batch", "--signal=USR1", number)
    wait_for_state(cluster, number, tmp_path, "PENDING")
    stopped_at = last_state(tmp_path)["nimg"]
    assert stopped_at > 0
    # A run may be given another length while its learning rate is constant: here, a near end.
    end = stopped_at + 40
    write_pipeline(tmp_path, total_kimg=end / 1000)
    start_again(cluster, number)
    wait_for_state(cluster, number, tmp_path, "COMPLETED")
    assert cluster.job(number)["Restarts"] == "1"
    assert last_state(tmp_path)["nimg"] == end
    output = (tmp_path / "job.log").read_text()
    assert "Stopped by a signal at" in output and "back to the queue (start 2)" in output
    assert "Resumed from" in output
    # It stops at any step; the end is logged too.
    assert logged_nimg(tmp_path) == [*range(20, end, 20), end]


def test_train_sbatch_more_gpus_than_tasks_is_refused(cluster, tmp_path):
    number = cluster.submit(tmp_path, "--export=ALL,SLURM_GPUS_ON_NODE=2", "tiny.yaml")
    wait_for_state(cluster, number, tmp_path, "FAILED")
    assert "1 tasks; each GPU needs one task. Submit with" in (tmp_path / "job.log").read_text()
