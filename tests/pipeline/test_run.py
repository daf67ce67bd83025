import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import accelerate
import click
import pytest
import torch
from click.testing import CliRunner
from docs.test_examples import install
from tiny_runs import finish, start, wait_for, write_dcgan

from ganforge.cli import main
from ganforge.config.load import load_pipeline
from ganforge.config.models import ModelConfig, PipelineConfig
from ganforge.interfaces.stage import RunContext
from ganforge.pipeline import run
from ganforge.pipeline.run import set_up_logging, usual_torch
from ganforge.registry.components import resolve
from ganforge.training.state.run_lock import lock_run_dir


def write(folder, total_kimg, workers=0):
    train = {"total_kimg": total_kimg, "log_every_kimg": 0.02}
    write_dcgan(folder, 8, train, workers, stages=["prepare", "train", "publish"])


def test_set_up_logging_leaves_the_process_group_to_the_runtime(monkeypatch):
    # Made here, accelerate's state would fix one process per rank on CPUs, and a short time-out.
    def refuse(*arguments, **options):
        raise AssertionError("PartialState made too early")

    monkeypatch.setattr(accelerate.PartialState, "__init__", refuse)
    set_up_logging()


@pytest.mark.dist
def test_run_on_two_processes_is_one_run(tmp_path):
    write(tmp_path, total_kimg=0.04)
    process = start(
        tmp_path, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"
    )
    finish(process)
    [checkpoint] = (tmp_path / "runs" / "tiny" / "checkpoints").glob("nimg-*")
    state = json.loads((checkpoint / "state.json").read_text())
    assert state["num_slots"] == 2  # by default the number of ranks


_NAMES_OF_THREADS = """
import sys
from pathlib import Path
from ganforge.pipeline.run import main
code = main()
names = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
sys.stderr.write(" ".join(names))
sys.exit(code)
"""


@pytest.mark.dist
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are listed by Linux")
def test_run_on_two_processes_leaves_no_thread_of_their_group(tmp_path):
    # Such a thread may take the interpreter's lock while that ends, and abort a finished run.
    write(tmp_path, total_kimg=0.04)
    (tmp_path / "threads.py").write_text(_NAMES_OF_THREADS)
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    result = subprocess.run(
        [sys.executable, *launcher, "threads.py", "tiny.yaml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "GANFORGE_NUM_THREADS": "1"},
    )
    assert result.returncode == 0, result.stderr
    assert "gloo" not in result.stderr.splitlines()[-1]
    assert "python" in result.stderr.splitlines()[-1]


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM, signal.SIGINT])
def test_run_stopped_by_a_signal_saves_and_leaves_later_stages(tmp_path, number):
    write(tmp_path, total_kimg=100, workers=1)
    process = start(tmp_path)
    log = tmp_path / "runs" / "tiny" / "log.jsonl"
    wait_for(log, process)
    os.killpg(process.pid, number)  # to its workers too, as a terminal and Slurm do
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 75, output
    assert "of 100 kimg; a checkpoint is saved in runs/tiny/checkpoints. Run the same" in output
    assert list((tmp_path / "runs" / "tiny" / "checkpoints").glob("nimg-*"))
    assert not (tmp_path / "runs" / "tiny" / "export").exists()


def test_run_in_the_directory_of_a_running_one_is_refused_until_that_is_killed(tmp_path):
    write(tmp_path, total_kimg=100, workers=1)
    folder = tmp_path / "runs" / "tiny"
    first = start(tmp_path)
    try:
        wait_for(folder / "log.jsonl", first)
        before = (folder / "config.yaml").stat().st_mtime_ns
        second = start(tmp_path)
        output, _ = second.communicate(timeout=240)
        assert second.returncode == 2, output
        assert f"Another run (pid {first.pid}, host " in output
        assert "uses runs/tiny" in output
        assert (folder / "config.yaml").stat().st_mtime_ns == before
        assert first.poll() is None
        first.kill()  # its reader process is not asked to end
        first.wait()
        with lock_run_dir(folder):
            pass
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(first.pid, signal.SIGKILL)
        first.communicate(timeout=60)


def test_rank_zero_decides_which_stages_are_done(monkeypatch, caplog):
    """This rank, a slow one, would find the stage undone: rank 0 has found it done."""
    others = SimpleNamespace(on_main=lambda action: True, any_rank=lambda vote: vote)
    stage = SimpleNamespace(name="x", is_done=lambda context: False, run=pytest.fail)
    monkeypatch.setattr(run, "runtime_of", lambda context: others)
    with caplog.at_level("INFO"):
        run._run_stages(None, [stage])
    assert "Stage x: already done." in caplog.messages


@pytest.mark.parametrize(
    ("pipeline", "commands"),
    [
        ("quickstart", ["generate", "sample", "publish"]),
        ("pipelines/quick/text2image_emoji.yaml", ["generate", "sample", "publish"]),
        ("pipelines/quick/cyclegan_emoji.yaml", ["translate", "publish"]),
    ],
)
def test_what_a_run_advises_next_are_commands_that_the_cli_takes(
    tmp_path, monkeypatch, pipeline, commands
):
    config = load_pipeline(pipeline)
    context = RunContext(config, tmp_path, resolve(config))
    monkeypatch.chdir(tmp_path)
    for name in ("export", "IMAGES"):
        (tmp_path / name).mkdir()
    told = run.describe_result(context).partition("Next:\n")[2].splitlines()
    assert [line.split()[1] for line in told] == commands
    for line in told:
        name, *arguments = shlex.split(line)
        # Parses the whole line, groups and options too, and runs nothing.
        group, parent = main, None
        while isinstance(group, click.Group):
            parent = group.make_context(name, arguments, parent=parent)
            name, group, arguments = group.resolve_command(
                parent, [*parent.protected_args, *parent.args]
            )
        group.make_context(name, arguments, parent=parent)
    assert any("--text" in line for line in told) == ("text2image" in pipeline)


def test_what_a_run_of_video_advises_next_names_a_clip(tmp_path):
    install("video_gan")
    config = PipelineConfig(name="clips", model=ModelConfig(architecture="video_gan"))
    (tmp_path / "export").mkdir()
    told = run.describe_result(RunContext(config, tmp_path, resolve(config)))
    assert f"ganforge translate {tmp_path} CLIP.mp4 --out {tmp_path / 'translated.mp4'}" in told


@pytest.mark.parametrize("size", ["4k", "8k", "16k", "64k"])
def test_full_disk_ends_a_run_with_one_message(small_disk, tmp_path, monkeypatch, size):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, total_kimg=0.2)
    disk = small_disk(size)

    def invoke(*overrides):
        return CliRunner().invoke(main, ["run", "tiny.yaml", "data.shards=shards", *overrides])

    assert invoke("stages=[prepare]", "run_dir=elsewhere").exit_code == 0

    result = invoke("run_dir=disk/r")

    assert result.exit_code == 2
    assert "No space left" in result.output or "disk is full" in result.output
    empty = [p.name for p in disk.rglob("*.*") if p.is_file() and not p.stat().st_size]
    assert empty == []


def test_run_in_a_notebook_does_not_follow_what_earlier_cells_set():
    torch.set_default_dtype(torch.float64)
    try:
        with torch.no_grad(), usual_torch():
            assert torch.zeros(1).dtype == torch.float32
            assert (torch.zeros(1, requires_grad=True) * 2).requires_grad
        assert torch.zeros(1).dtype == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
