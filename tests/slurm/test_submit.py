"""Chained jobs, sweeps and bounded requeues on a real Slurm; a stub stands for the interpreter."""

import os
import subprocess
import sys

import pytest
from slurm.runs import start_again, wait_for_state, write_pipeline

pytestmark = [pytest.mark.slurm, pytest.mark.xdist_group("slurm")]


@pytest.fixture
def stub(cluster, tmp_path, monkeypatch):
    """An interpreter that writes down what it would run and ends with the status in `status`.

    ganforge's own commands run.
    """
    path = tmp_path / "python"
    path.write_text(
        f'#!/bin/sh\n[ "$2" = ganforge.run ] || exec {sys.executable} "$@"\n'
        f'shift 2; echo "$SLURM_JOB_ID:${{RANK:-0}}/$SLURM_NTASKS: $*" >> {tmp_path}/ran\n'
        f"exit $(cat {tmp_path}/status)\n"
    )
    path.chmod(0o755)
    (tmp_path / "status").write_text("0")
    monkeypatch.setitem(cluster.environment, "GANFORGE_PYTHON", str(path))
    write_pipeline(tmp_path, total_kimg=1)
    return path


def ran(folder, *numbers):
    """What the stub ran, without the number of its job."""
    lines = [line.split(":", 1) for line in (folder / "ran").read_text().splitlines()]
    return [rest for number, rest in lines if not numbers or number in numbers]


def test_submit_runs_the_stages_one_after_the_other(cluster, stub, tmp_path):
    stages = "stages=[prepare,train,evaluate,publish]"
    command = [sys.executable, "-m", "ganforge", "slurm", "submit", "tiny.yaml", stages]
    done = subprocess.run(
        [*command, "train.seed=3", "--nodes", "2"],
        cwd=tmp_path,
        env={**os.environ, **cluster.environment},
        capture_output=True,
        text=True,
        check=True,
    )
    numbers = [line.split("job ")[1] for line in done.stdout.splitlines()]
    wait_for_state(cluster, numbers[-1], tmp_path / "runs", "COMPLETED")
    assert [sorted(ran(tmp_path, number)) for number in numbers] == [
        ["0/1: tiny.yaml train.seed=3 stages=[prepare]"],
        [f"{rank}/2: tiny.yaml train.seed=3 stages=[train]" for rank in range(2)],
        ["0/1: tiny.yaml train.seed=3 stages=[evaluate]"],
        ["0/1: tiny.yaml train.seed=3 stages=[publish]"],
    ]
    assert [line.split(":")[0] for line in (tmp_path / "ran").read_text().splitlines()] == [
        numbers[0], numbers[1], *numbers[1:]
    ]  # fmt: skip
    assert (tmp_path / "runs" / "tiny" / "slurm" / "train.sbatch").exists()


def test_sweep_runs_each_line_in_its_own_directory(cluster, stub, tmp_path):
    (tmp_path / "seeds.txt").write_text("train.seed=1\ntrain.seed=2 loss.n_critic=2\n\n")
    number = cluster.submit(
        tmp_path, "--array=1-3", "tiny.yaml", "seeds.txt", "a=b", script="sweep.sbatch"
    )
    for task, state in (("1", "COMPLETED"), ("2", "COMPLETED"), ("3", "FAILED")):
        wait_for_state(cluster, f"{number}_{task}", tmp_path, state)
    assert sorted(ran(tmp_path)) == [
        "0/1: tiny.yaml run_dir=runs/seeds-1 train.seed=1 a=b",
        "0/1: tiny.yaml run_dir=runs/seeds-2 train.seed=2 loss.n_critic=2 a=b",
    ]
    assert "has no overrides on line 3" in (tmp_path / "job.log").read_text()


def test_job_that_fails_again_without_progress_is_not_requeued(
    cluster, stub, tmp_path, monkeypatch
):
    monkeypatch.setitem(cluster.environment, "GANFORGE_MAX_REQUEUES", "0")
    (tmp_path / "runs" / "tiny" / "checkpoints" / "nimg-000000100").mkdir(parents=True)
    (tmp_path / "status").write_text("1")
    number = cluster.submit(tmp_path, "tiny.yaml")
    wait_for_state(cluster, number, tmp_path, "PENDING")
    start_again(cluster, number)
    wait_for_state(cluster, number, tmp_path, "FAILED")
    output = (tmp_path / "job.log").read_text()
    assert "back to the queue (start 2)" in output
    assert "Not back to the queue: 0 starts have brought no progress beyond nimg-0" in output
    assert len(ran(tmp_path)) == 2
