"""Signals and the limit on training time end a run cleanly."""

import os
import signal

import pytest

from ganforge.training.engine.loop import StopTraining
from ganforge.training.signals import StopSignals
from ganforge.training.state import checkpoint as checkpoints
from ganforge.training.tasks.checkpoint import CheckpointTask
from ganforge.training.tasks.stop import BudgetTask, StopTask


def test_budget_task_is_due_only_with_a_limit(make_run):
    for limit, expected in ((None, False), (1.0, True)):
        run = make_run(max_minutes=limit, log_every_kimg=0.016)
        run.progress.advance(16)
        assert BudgetTask().due(run) is expected


def test_budget_task_adds_time_over_launches_until_the_run_is_finished(make_run, clock, caplog):
    caplog.set_level("INFO")
    run, task = make_run(max_minutes=1.0), BudgetTask(clock)
    run.extra["train_sec"] = 25.0  # of an earlier launch
    for seconds, spent in ((20, 45.0), (20, 65.0)):
        assert not run.is_finished
        clock.now += seconds
        task.run(run)
        assert run.extra["train_sec"] == spent
    assert run.is_finished
    assert "train.max_minutes is used up at 0.00 kimg." in caplog.messages


def test_budget_task_is_wanted_as_soon_as_the_time_is_used_up(make_run, clock, monkeypatch):
    run, task = make_run(max_minutes=1.0), BudgetTask(clock)
    run.extra["train_sec"] = 25.0
    clock.now += 34.0
    assert not task.wanted(run) and task.seconds_left(run) == 1.0
    clock.now += 1.0
    assert task.wanted(run)
    monkeypatch.setattr(type(run.runtime), "is_main", False)
    assert not task.wanted(run)  # the clock of rank 0 counts


def test_budget_task_without_a_limit_wants_nothing(make_run, clock):
    run, task = make_run(), BudgetTask(clock)
    clock.now += 1e9
    assert not task.wanted(run) and task.seconds_left(run) is None


def test_stop_task_saves_and_stops_after_a_signal(make_run, tmp_path):
    run = make_run()
    with StopSignals() as signals:
        task = StopTask(CheckpointTask(tmp_path), signals)
        assert not task.wanted(run)
        os.kill(os.getpid(), signal.SIGUSR1)
        assert task.wanted(run) and not task.due(run)
        with pytest.raises(StopTraining, match="Run the same command to resume"):
            task.run(run)
    assert len(checkpoints.all_checkpoints(tmp_path)) == 1


def test_stop_task_lets_a_finished_run_end_by_itself(make_run, tmp_path):
    run = make_run(total_kimg=0.016)
    run.progress.advance(16)
    StopTask(CheckpointTask(tmp_path), StopSignals()).run(run)
    assert not checkpoints.all_checkpoints(tmp_path)
