"""The checkpoint task saves, prunes and fails on all ranks together; a rollback restores."""

import pytest
import torch
from training.toy import advance, weights

from ganforge.errors import CheckpointError
from ganforge.training.engine.loop import Rollback
from ganforge.training.state import checkpoint as checkpoints
from ganforge.training.tasks.alarms import Alarm
from ganforge.training.tasks.checkpoint import CheckpointTask, roll_back

COLLAPSE = Alarm("collapse", "All alike.", "Lower the learning rates.")


def test_checkpoint_task_saves_and_keeps_the_newest(make_run, tmp_path):
    run, task = make_run(keep_checkpoints=2), CheckpointTask(tmp_path)
    for _ in range(3):
        advance(run, 1)
        task.run(run)
    names = [path.name for path in checkpoints.all_checkpoints(tmp_path)]
    assert names == ["nimg-000000032", "nimg-000000048"]
    checkpoints.verify(tmp_path / names[1])


def test_checkpoint_task_raises_what_failed_on_rank_zero(make_run, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match="Cannot save the checkpoint"):
        CheckpointTask(tmp_path / "file").run(make_run())


def test_roll_back_restores_the_newest_checkpoint_and_changes_the_seed(
    make_run, tmp_path, lines, caplog
):
    run = make_run(seed=7)
    advance(run, 1)
    CheckpointTask(tmp_path).run(run)
    expected = weights(run)
    advance(run, 2)
    for nimg in (16, 48):
        lines.append({"nimg": nimg})
    with pytest.raises(Rollback, match="All alike"):
        roll_back(run, COLLAPSE, tmp_path, lines)
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
        roll_back(make_run(), COLLAPSE, tmp_path, lines)


def test_roll_back_ends_the_run_after_the_last_one(make_run, tmp_path, lines):
    run = make_run(health={"max_rollbacks": 1})
    CheckpointTask(tmp_path).run(run)
    with pytest.raises(Rollback):
        roll_back(run, COLLAPSE, tmp_path, lines)
    with pytest.raises(CheckpointError, match="1 rollbacks did not help"):
        roll_back(run, COLLAPSE, tmp_path, lines)
