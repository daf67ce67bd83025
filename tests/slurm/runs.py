"""Tiny runs on the cluster: writing them, waiting for them, reading what they wrote."""

import json

import numpy as np
import yaml
from PIL import Image
from slurm.cluster import wait_until

TWO_NODES = ("--nodes=2", "--ntasks-per-node=1")


def write_pipeline(folder, total_kimg, checkpoint_every_kimg=100, **sections):
    """A tiny DCGAN on 16 images of noise."""
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
            "checkpoint_every_kimg": checkpoint_every_kimg,
            "compile": False,
            "health": {"enabled": False},
            "trackers": [],
        },
        **sections,
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
    """Wait for the next start of a requeued job, which `cred_expire` in slurm.conf holds back."""
    wait_until(lambda: cluster.job(number)["JobState"] != "PENDING", f"job {number} to start again")


def logged_nimg(folder):
    path = folder / "runs" / "tiny" / "log.jsonl"
    if not path.exists():
        return []
    records = [json.loads(line) for line in path.read_text().splitlines() if line]
    return [record["nimg"] for record in records if "by" not in record]


def last_state(folder):
    checkpoint = sorted((folder / "runs" / "tiny" / "checkpoints").glob("nimg-*"))[-1]
    return json.loads((checkpoint / "state.json").read_text())
