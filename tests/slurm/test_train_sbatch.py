"""slurm/train.sbatch on a real Slurm: two nodes, a warning before the time limit, too few tasks."""

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


def test_train_sbatch_warned_on_two_nodes_saves_requeues_and_finishes(cluster, tmp_path):
    write_pipeline(tmp_path, total_kimg=100)
    number = cluster.submit(tmp_path, *TWO_NODES, "tiny.yaml", "train.log_every_kimg=0.04")
    wait_until(lambda: logged_nimg(tmp_path), "the first log line", 240)
    # What --signal=B:USR1@300 does before a time limit.
    cluster.call("scancel", "--batch", "--signal=USR1", number)
    wait_for_state(cluster, number, tmp_path, "PENDING")
    stopped_at = last_state(tmp_path)["nimg"]
    assert stopped_at > 0
    assert last_state(tmp_path)["num_slots"] == 2  # the number of ranks: they found each other
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
    assert logged_nimg(tmp_path) == [*range(40, end, 40), end]


def test_train_sbatch_more_gpus_than_tasks_is_refused(cluster, tmp_path):
    number = cluster.submit(tmp_path, "--export=ALL,SLURM_GPUS_ON_NODE=2", "tiny.yaml")
    wait_for_state(cluster, number, tmp_path, "FAILED")
    assert "1 tasks; each GPU needs one task. Submit with" in (tmp_path / "job.log").read_text()
