"""Tiny runs on the cluster: writing them, waiting for them, reading what they wrote."""

import json

from slurm.cluster import wait_until
from tiny_runs import write_dcgan

TWO_NODES = ("--nodes=2", "--ntasks-per-node=1")


def write_pipeline(folder, total_kimg, checkpoint_every_kimg=100, **sections):
    """A tiny DCGAN on 16 images of noise."""
    train = {
        "total_kimg": total_kimg,
        "log_every_kimg": 0.02,
        "sample_every_kimg": 100,
        "checkpoint_every_kimg": checkpoint_every_kimg,
        "health": {"enabled": False},
    }
    write_dcgan(folder, 16, train, **{"stages": ["prepare", "train"], **sections})


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
