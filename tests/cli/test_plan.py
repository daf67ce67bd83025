import json

import pytest
from click.testing import CliRunner

from ganforge.cli import main
from ganforge.planning import data_rate

FILE = """
name: small
run_dir: {folder}/run
data: {{resolution: 16, channels: 1}}
model: {{architecture: dcgan, z_dim: 4, base_channels: 4}}
train: {{batch_size: 8, total_kimg: 0.064}}
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setattr(data_rate, "_SECONDS", 0.02)
    (tmp_path / "small.yaml").write_text(FILE.format(folder=tmp_path))
    return lambda *given: CliRunner().invoke(main, ["plan", str(tmp_path / "small.yaml"), *given])


def test_plan_shows_time_memory_and_price(run):
    done = run("--gpus", "4xH100", "--price", "2.5", "train.batch_size=16")
    assert done.exit_code == 0, done.output
    assert "GPUs             4xH100 (roofline, bf16)" in done.output
    assert "4 steps, 4 images" in done.output
    assert "\nprice" in done.output


def test_plan_as_json_is_one_object(run):
    found = json.loads(run("--gpus", "H200", "--json").output)
    assert (found["gpus"], found["steps"], found["price"]) == ("1xH200", 8, None)


def test_plan_for_an_unknown_gpu_is_one_message(run):
    done = run("--gpus", "8xT4")
    assert done.exit_code == 2
    assert "no data sheet of 'T4' is known" in done.output
