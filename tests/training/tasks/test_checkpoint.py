"""The checkpoint task saves, prunes and fails on all ranks together; a rollback restores."""

import errno
import os
import signal
import threading
import time

import pytest
import torch
from training.toy import advance, train_toy, weights

from ganforge.errors import CheckpointError
from ganforge.training.engine.loop import Rollback, Task
from ganforge.training.state import checkpoint as checkpoints
from ganforge.training.tasks.alarms import Alarm
from ganforge.training.tasks.checkpoint import CheckpointTask, roll_back

COLLAPSE = Alarm("collapse", "All alike.", "Lower the learning rates.")


def test_checkpoint_task_saves_and_keeps_the_newest(make_run, tmp_path):
    run, task = make_run(keep_checkpoints=2), CheckpointTask(tmp_path)
    for _ in range(3):
        advance(run, 1)
        task.save(run)
    task.finish(run)
    names = [path.name for path in checkpoints.all_checkpoints(tmp_path)]
    assert names == ["nimg-000000032", "nimg-000000048"]
    checkpoints.verify(tmp_path / names[1])


def test_checkpoint_task_raises_what_failed_on_rank_zero(make_run, tmp_path):
    (tmp_path / "file").touch()
    run, task = make_run(), CheckpointTask(tmp_path / "file")
    task.save(run)
    while not task.wanted(run):  # at a step edge, soon
        time.sleep(0.001)
    with pytest.raises(CheckpointError, match="Cannot save the checkpoint"):
        task.run(run)


class SlowDisk:
    """Makes every save take as long as `may_end` is not set."""

    def __init__(self, monkeypatch):
        self.may_end, write = threading.Event(), checkpoints._write_files

        def slowly(folder, checkpoint):
            assert self.may_end.wait(30)
            write(folder, checkpoint)

        monkeypatch.setattr(checkpoints, "_write_files", slowly)


class Watch(Task):
    """Records when each step ended."""

    def __init__(self, disk, last):
        self.ends, self.disk, self.last = {}, disk, last

    def due(self, run):
        return True

    def run(self, run):
        self.ends[run.progress.step] = time.perf_counter()
        if run.progress.step == self.last:
            self.disk.may_end.set()


def test_training_goes_on_during_a_save_and_what_it_writes_is_the_state_of_then(
    make_run, tmp_path, monkeypatch
):
    disk = SlowDisk(monkeypatch)
    config = {"total_kimg": 0.096, "checkpoint_every_kimg": 0.032, "keep_checkpoints": 9}
    run, task, watch = make_run(**config), CheckpointTask(tmp_path), Watch(disk, 3)
    snapshots, snapshot = [], run.snapshot

    def remembering():
        snapshots.append(weights_of(snapshot()))
        return snapshot()

    monkeypatch.setattr(run, "snapshot", remembering)
    began = []
    start = task._writer.start
    monkeypatch.setattr(
        task._writer, "start", lambda write: (start(write), began.append(time.perf_counter()))
    )
    train_toy(run, [task, watch])
    assert watch.ends[2] - began[0] < 0.05  # the loop is free to take the step after the save
    names = [path.name for path in checkpoints.all_checkpoints(tmp_path)]
    assert names == ["nimg-000000032", "nimg-000000064", "nimg-000000096"]
    for name, expected in zip(names, snapshots, strict=True):
        found = weights_of(checkpoints.load(tmp_path / name))
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[key], expected[key]) for key in found)


def weights_of(checkpoint):
    return {
        f"{file}/{key}": tensor.clone()
        for file, tensors in checkpoint.tensors.items()
        for key, tensor in tensors.items()
    }


def test_a_failed_save_ends_the_run_at_a_step_edge_and_keeps_the_earlier_checkpoint(
    make_run, tmp_path, monkeypatch
):
    run, task = make_run(total_kimg=10), CheckpointTask(tmp_path)
    task.save(run)
    task.finish(run)

    def full(folder, checkpoint):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoints, "_write_files", full)
    advance(run, 1)
    task.save(run)
    with pytest.raises(CheckpointError, match="nimg-000000016: the disk is full.*Make room"):
        train_toy(run, [task])
    assert [path.name for path in checkpoints.all_checkpoints(tmp_path)] == ["nimg-000000000"]
    checkpoints.verify(tmp_path / "nimg-000000000")


def test_a_process_killed_during_a_save_leaves_the_checkpoint_before(make_run, tmp_path):
    run, task = make_run(), CheckpointTask(tmp_path)
    task.save(run)
    task.finish(run)
    advance(run, 1)
    snapshot = run.snapshot()
    child = os.fork()
    if child == 0:  # only writes files; dies between two of them

        def die(path):
            os.kill(os.getpid(), signal.SIGKILL)

        checkpoints.file_sha256 = die
        checkpoints.save(tmp_path / "nimg-000000016", snapshot)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert any(path.name.startswith(".nimg-000000016.partial") for path in tmp_path.iterdir())
    assert checkpoints.latest(tmp_path).name == "nimg-000000000"
    task.save(run)
    task.finish(run)
    assert checkpoints.latest(tmp_path).name == "nimg-000000016"


def test_roll_back_restores_the_newest_checkpoint_and_changes_the_seed(
    make_run, tmp_path, lines, caplog
):
    run = make_run(seed=7)
    advance(run, 1)
    task = CheckpointTask(tmp_path)
    task.save(run)
    expected = weights(run)
    advance(run, 2)
    for nimg in (16, 48):
        lines.append({"nimg": nimg})
    with pytest.raises(Rollback, match="All alike"):
        roll_back(run, COLLAPSE, task, lines)
    assert run.progress.step == 1 and run.seed != 7
    assert lines.read() == [{"nimg": 16}]
    assert "Rolled back to nimg-000000016 (1 of 2)." in caplog.messages
    found = weights(run)
    for key, tensor in expected.items():
        assert torch.equal(found[key], tensor), key


def test_roll_back_without_a_checkpoint_ends_the_run(make_run, tmp_path, lines):
    with pytest.raises(
        CheckpointError, match="All alike. .* Cannot roll back at 0.00 kimg: there is no check"
    ):
        roll_back(make_run(), COLLAPSE, CheckpointTask(tmp_path), lines)


def test_roll_back_ends_the_run_after_the_last_one(make_run, tmp_path, lines):
    run = make_run(health={"max_rollbacks": 1})
    task = CheckpointTask(tmp_path)
    task.save(run)
    with pytest.raises(Rollback):
        roll_back(run, COLLAPSE, task, lines)
    with pytest.raises(CheckpointError, match="1 rollbacks did not help"):
        roll_back(run, COLLAPSE, task, lines)
