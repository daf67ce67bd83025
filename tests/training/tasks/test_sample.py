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
def make_task(tmp_path, lines):
    def make(run):
        (tmp_path / "samples").mkdir()
        real = torch.randn(16, 1, 4, 4, generator=torch.Generator().manual_seed(0))
        monitor = HealthMonitor(run.config.train.health, real)
        return SampleTask(tmp_path / "samples", None, lines, monitor, tmp_path / "checkpoints")

    return make


def collapse(monkeypatch):
    same = Pictures(Image.new("L", (4, 4)), (), torch.zeros(6, 1, 4, 4))
    monkeypatch.setattr(sample, "sample_pictures", lambda *args: same)


def test_sample_task_saves_the_grid_under_the_progress(make_run, make_task, tmp_path):
    run = make_run()
    advance(run, 2)
    make_task(run).run(run)
    with Image.open(tmp_path / "samples" / "nimg-000000032.png") as picture:
        assert picture.size == (12, 8)  # 3 columns and 2 rows of 4x4 images
    assert len(run.extra["health"]["coverage"]) == 1


def test_sample_task_of_video_saves_an_animation_too(make_run, make_task, tmp_path, monkeypatch):
    frames = [Image.new("L", (6, 4), shade) for shade in (0, 100, 200)]
    pictures = Pictures(frames[0], frames, torch.randn(6, 1, 4, 4))
    monkeypatch.setattr(sample, "sample_pictures", lambda *args: pictures)
    make_task(make_run()).run(make_run())
    assert sorted(path.name for path in (tmp_path / "samples").iterdir()) == [
        "nimg-000000000.gif",
        "nimg-000000000.png",
    ]
    with Image.open(tmp_path / "samples" / "nimg-000000000.gif") as animation:
        assert (animation.n_frames, animation.size) == (3, (6, 4))


def test_sample_task_reports_a_collapse_and_goes_on(
    make_run, make_task, lines, monkeypatch, caplog
):
    run = make_run()
    collapse(monkeypatch)
    make_task(run).run(run)
    assert "This is mode collapse" in caplog.text
    assert [record["alarm"] for record in lines.read()] == ["collapse"]


def test_sample_task_rolls_back_after_a_collapse_if_that_is_wanted(
    make_run, make_task, tmp_path, monkeypatch
):
    run = make_run(health={"rollback": True})
    CheckpointTask(tmp_path / "checkpoints").run(run)
    advance(run, 2)
    collapse(monkeypatch)
    with pytest.raises(Rollback):
        make_task(run).run(run)
    assert run.progress.nimg == 0 and run.rollbacks == 1


def test_sample_task_of_other_ranks_draws_nothing(make_run, make_task, tmp_path, monkeypatch):
    run = make_run()
    monkeypatch.setattr(type(run.runtime), "is_main", False)
    make_task(run).run(run)
    assert not list((tmp_path / "samples").iterdir())
