import pytest
from training.toy import toy_config, toy_run

from ganforge.training.tasks.health import HealthMonitor
from ganforge.training.tasks.json_lines import JsonLines
from ganforge.training.tasks.pictures import sample_images


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
    return lambda run: HealthMonitor(run.config.train.health, sample_images(run))
