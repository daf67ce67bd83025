"""What is submitted for which stage; tests/slurm submits to a real cluster."""

import subprocess
from pathlib import Path

import pytest

from ganforge.errors import GanforgeError
from ganforge.pipeline import slurm
from ganforge.pipeline.slurm import Resources, plan_jobs, script_folder, shown, submit

STAGES = ("prepare", "train", "evaluate", "publish")


def planned(stages=STAGES, **resources):
    return plan_jobs(stages, "x.yaml", ["a=1"], Path("s"), "x", Resources(**resources))


def test_jobs_get_what_their_stage_needs():
    jobs = planned(nodes=2, gpus_per_node=8, cpus_per_task=4, time="1:00:00", options=("-pgpu",))
    assert [job.arguments[0] for job in jobs] == [
        "s/train.sbatch", "s/train.sbatch", "s/evaluate.sbatch", "s/publish.sbatch"
    ]  # fmt: skip
    assert [job.options[1:4] for job in jobs] == [
        ("--nodes=1", "--ntasks-per-node=1", "--cpus-per-task=4"),
        ("--nodes=2", "--ntasks-per-node=8", "--gpus-per-node=8"),
        ("--nodes=1", "--ntasks-per-node=8", "--gpus-per-node=8"),
        ("--nodes=1", "--ntasks-per-node=1", "--cpus-per-task=4"),
    ]
    assert all({"--time=1:00:00", "-pgpu", "--cpus-per-task=4"} <= {*job.options} for job in jobs)
    assert jobs[1].arguments[1:] == ("x.yaml", "a=1", "stages=[train]")
    assert jobs[2].arguments[1:] == ("x.yaml", "a=1")


def test_shown_commands_are_a_script_that_chains_the_jobs(tmp_path):
    (tmp_path / "sbatch").write_text('#!/bin/sh\necho "$@" >> called\nwc -l < called\n')
    (tmp_path / "sbatch").chmod(0o755)
    script = shown(planned(("prepare", "my-own", "publish"), tasks_per_node=2))
    done = subprocess.run(
        ["bash", "-euc", f"PATH=.:$PATH\n{script}\necho $publish"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "3\n"
    first, second, third = (tmp_path / "called").read_text().splitlines()
    assert "afterok" not in first
    assert "--ntasks-per-node=2 --dependency=afterok:1 --kill-on-invalid-dep=yes s/train" in second
    assert "--dependency=afterok:2" in third


def test_submit_names_the_job_that_slurm_refuses_and_those_in_the_queue(monkeypatch, tmp_path):
    (tmp_path / "sbatch").write_text(
        '#!/bin/sh\ncase "$*" in *after*) echo "invalid partition" >&2; exit 1;; esac\necho "7;c"\n'
    )
    (tmp_path / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    match = r"job of train: invalid partition\. .*sbatch --parsable .*afterok:7.*In the queue: 7"
    with pytest.raises(GanforgeError, match=match):
        submit(planned())
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(GanforgeError, match="no sbatch on this machine.*--dry-run"):
        submit(planned())


def test_scripts_come_with_ganforge_and_are_copied_together(tmp_path):
    slurm.write_scripts(tmp_path / "run" / "slurm")
    for name in slurm.SCRIPTS:
        copied = (tmp_path / "run" / "slurm" / name).read_text()
        assert copied == (script_folder() / name).read_text()
