"""Faults on a real Slurm: a rank that is killed, and jobs that make no progress."""

import os
import signal
from pathlib import Path

import pytest
from slurm.cluster import wait_until
from slurm.runs import (
    TWO_NODES,
    last_state,
    logged_nimg,
    start_again,
    wait_for_state,
    write_pipeline,
)

pytestmark = [pytest.mark.slurm, pytest.mark.xdist_group("slurm")]


def ranks_of(folder):
    """Process numbers of the ranks that run in a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().split(b"\0")
            inside = os.readlink(process / "cwd") == str(folder)
        except OSError:
            continue
        if inside and b"ganforge.run" in command:
            found.append(int(process.name))
    return sorted(found)


def test_train_sbatch_killed_rank_requeues_the_job_which_finishes(cluster, tmp_path):
    write_pipeline(tmp_path, total_kimg=100, checkpoint_every_kimg=0.04)
    number = cluster.submit(tmp_path, *TWO_NODES, "tiny.yaml")
    wait_until(lambda: len(logged_nimg(tmp_path)) > 2, "a checkpoint", 240)
    os.kill(ranks_of(tmp_path)[-1], signal.SIGKILL)
    # Within the 30 seconds of srun --wait, and the other rank is named.
    wait_until(lambda: not ranks_of(tmp_path), "the other rank to end", 30)
    wait_for_state(cluster, number, tmp_path, "PENDING")
    output = (tmp_path / "job.log").read_text()
    assert "Killed" in output and "task" in output
    assert "back to the queue (start 2)" in output
    end = last_state(tmp_path)["nimg"] + 40
    write_pipeline(tmp_path, total_kimg=end / 1000, checkpoint_every_kimg=0.04)
    start_again(cluster, number)
    wait_for_state(cluster, number, tmp_path, "COMPLETED")
    assert last_state(tmp_path)["nimg"] == end
    assert logged_nimg(tmp_path) == sorted({*range(20, end, 20), end})
