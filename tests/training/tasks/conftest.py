import pytest
from training.toy import toy_config, toy_run

from ganforge.training.tasks.health import HealthMonitor
from ganforge.training.tasks.json_lines import JsonLines
from ganforge.training.tasks.pictures import sample_images


class Clock:
    """Moves on by `step` seconds whenever it is read."""

    def __init__(self):
        self.now, self.step = 1000.0, 0.0

    def __call__(self):
        self.now += self.step
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def make_run():
    """A toy run with these settings in `train`."""
    return lambda **train: toy_run(toy_config({"sample_grid": [2, 3], **train}))


@pytest.fixture
def lines(tmp_path):
    return JsonLines(tmp_path / "log.jsonl")


@pytest.fixture
def make_monitor():
    """A health monitor whose real images are what the run generates now."""
    return lambda run: HealthMonitor(run, sample_images(run))
