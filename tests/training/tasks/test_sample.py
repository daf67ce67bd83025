"""The sample task saves a picture, and rolls back after a collapse where that is wanted."""

import pytest
import torch
from PIL import Image
from training.toy import advance

from ganforge.training.engine.loop import Rollback
from ganforge.training.tasks import sample
from ganforge.training.tasks.checkpoint import CheckpointTask
from ganforge.training.tasks.health import HealthMonitor
from ganforge.training.tasks.pictures import Pictures
from ganforge.training.tasks.sample import SampleTask


@pytest.fixture
def make_task(tmp_path, lines, clock):
    def make(run):
        (tmp_path / "samples").mkdir()
        real = torch.randn(16, 1, 4, 4, generator=torch.Generator().manual_seed(0))
        monitor = HealthMonitor(run, real)
        save = CheckpointTask(tmp_path / "checkpoints")
        return SampleTask(tmp_path / "samples", None, lines, monitor, save, clock)

    return make


@pytest.fixture
def collapse(monkeypatch):
    """From now on all samples are alike, as they were not before."""

    def happen(run, task):
        run.progress.step, run.progress.nimg = 200, 3200
        monkeypatch.setattr(task.monitor._samples, "_history", {"diversity": [0.9], **EMPTY})
        monkeypatch.setattr(task.monitor._samples, "_steps", [100])
        same = Pictures(lambda: Image.new("L", (4, 4)), tuple, torch.zeros(6, 1, 4, 4))
        monkeypatch.setattr(sample, "sample_pictures", lambda *args: same)

    return happen


EMPTY = {"coverage": [], "copies": []}


def test_sample_task_saves_the_grid_under_the_progress(make_run, make_task, tmp_path):
    run = make_run(sample_every_kimg=0.032)
    advance(run, 2)
    task = make_task(run)
    task.run(run)
    task.finish()
    with Image.open(tmp_path / "samples" / "nimg-000000032.png") as picture:
        assert picture.size == (12, 8)  # 3 columns and 2 rows of 4x4 images
    assert run.extra["health"] == task.monitor.state_dict()
    assert task.monitor.take_unlogged()[0].keys() == {"samples/diversity", "samples/coverage"}


def test_sample_task_is_wanted_once_in_the_first_minute(make_run, make_task, clock):
    run = make_run()
    task = make_task(run)
    clock.now += 44.0
    assert not task.wanted(run)
    clock.now += 1.0
    assert task.wanted(run)
    task.run(run)
    clock.now += 1000.0
    assert not task.wanted(run)


def test_sample_task_is_not_wanted_where_a_picture_exists(
    make_run, make_task, clock, tmp_path, monkeypatch
):
    run = make_run()
    task = make_task(run)
    task.run(run)
    task.finish()
    resumed = SampleTask(task.folder, None, task.lines, task.monitor, task.save, clock)
    clock.now += 1000.0
    assert not resumed.wanted(run)


def test_sample_task_by_time_draws_and_judges_nothing(make_run, make_task, tmp_path):
    run = make_run()
    advance(run, 1)
    task = make_task(run)
    task.run(run)
    task.finish()
    assert (tmp_path / "samples" / "nimg-000000016.png").exists()
    assert "health" not in run.extra and task.monitor.take_unlogged() == ({}, [])


def test_sample_task_of_video_saves_an_animation_too(make_run, make_task, tmp_path, monkeypatch):
    frames = [Image.new("L", (6, 4), shade) for shade in (0, 100, 200)]
    pictures = Pictures(lambda: frames[0], lambda: frames, torch.randn(6, 1, 4, 4))
    monkeypatch.setattr(sample, "sample_pictures", lambda *args: pictures)
    task = make_task(make_run())
    task.run(make_run())
    task.finish()
    assert sorted(path.name for path in (tmp_path / "samples").iterdir()) == [
        "nimg-000000000.gif",
        "nimg-000000000.png",
    ]
    with Image.open(tmp_path / "samples" / "nimg-000000000.gif") as animation:
        assert (animation.n_frames, animation.size) == (3, (6, 4))


def test_sample_task_reports_a_collapse_and_goes_on(make_run, make_task, collapse, caplog):
    run = make_run(sample_every_kimg=0.016)
    task = make_task(run)
    collapse(run, task)
    task.run(run)
    assert "At 3.20 kimg: Samples are nearly alike" in caplog.text
    assert [alarm["kind"] for alarm in task.monitor.take_unlogged()[1]] == ["collapse"]


def test_sample_task_rolls_back_after_a_collapse_if_that_is_wanted(
    make_run, make_task, tmp_path, collapse
):
    run = make_run(sample_every_kimg=0.016, health={"rollback": True})
    task = make_task(run)
    task.save.save(run)
    advance(run, 2)
    collapse(run, task)
    with pytest.raises(Rollback):
        task.run(run)
    assert run.progress.nimg == 0 and run.rollbacks == 1
    assert [alarm["kind"] for alarm in task.monitor.take_unlogged()[1]] == ["collapse"]
    collapse(run, task)
    with pytest.raises(Rollback):  # the monitor sounds again
        task.run(run)


def test_sample_task_of_other_ranks_draws_nothing(make_run, make_task, tmp_path, monkeypatch):
    run = make_run()
    monkeypatch.setattr(type(run.runtime), "is_main", False)
    make_task(run).run(run)
    assert not list((tmp_path / "samples").iterdir())
