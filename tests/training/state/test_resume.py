"""N steps equal k steps, kill -9, resume and the rest: bit for bit, as a user would do it."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import yaml
from PIL import Image

LAST = "checkpoints/nimg-000000120"
MODELS = {
    "dcgan": {
        "data": {"source": {"name": "folder", "path": "images"}, "resolution": 8},
        "model": {"architecture": "dcgan", "z_dim": 4, "base_channels": 4},
        "loss": {"regularizers": [{"name": "path_length", "every": 4}]},
        "augment": "ada",
    },
    "cyclegan": {
        "data": {
            "source": {"name": "unpaired", "source": "images/a", "target": "images/b"},
            "resolution": 16,
            "resize": "stretch",
        },
        "model": {
            "architecture": "cyclegan",
            "generator_width": 4,
            "discriminator_width": 4,
            "discriminator_layers": 1,
            "num_blocks": 1,
        },
        "loss": "least_squares",
    },
}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kill")
    rng = np.random.default_rng(0)
    for domain in ("a", "b"):
        (folder / "images" / domain).mkdir(parents=True)
        for number in range(25):
            pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "images" / domain / f"{number}.png")
    return folder


def write_pipeline(folder, name, model):
    sections = json.loads(json.dumps(MODELS[model]))
    sections["data"] |= {"workers": 2, "shuffle_window": 7, "samples_per_shard": 9}
    pipeline = {
        "name": name,
        "stages": ["prepare", "train"],
        "train": {
            "batch_size": 4,
            "slots": 2,
            "total_kimg": 0.12,
            "checkpoint_every_kimg": 0.044,
            "log_every_kimg": 0.004,
            "sample_every_kimg": 0.06,
            "sample_grid": [2, 2],
            "trackers": [],
        },
        **sections,
    }
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(pipeline))


def start(folder, name):
    return subprocess.Popen(
        [sys.executable, "-m", "ganforge.run", f"{name}.yaml"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, "GANFORGE_NUM_THREADS": "1"},
    )


def finish(process):
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    return output


def wait_for(path, process, seconds=240):
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.005)


@pytest.mark.parametrize("model", MODELS)
def test_kill_and_resume_equals_an_uninterrupted_run(images, model):
    for name in (f"{model}-whole", f"{model}-killed"):
        write_pipeline(images, name, model)
    finish(start(images, f"{model}-whole"))

    run_dir = images / "runs" / f"{model}-killed"
    victim = start(images, f"{model}-killed")
    # 44 images: the middle of the first epoch of 25 + 25 (or of the second of 25).
    wait_for(run_dir / "checkpoints" / "nimg-000000044", victim)
    os.killpg(victim.pid, signal.SIGKILL)
    victim.communicate()
    assert not (run_dir / "checkpoints" / "nimg-000000120").exists()
    output = finish(start(images, f"{model}-killed"))
    assert "Resumed from" in output

    manifests = [
        json.loads((images / "runs" / f"{model}-{kind}" / LAST / "manifest.json").read_text())
        for kind in ("whole", "killed")
    ]
    for manifest in manifests:
        manifest.pop("config.yaml")  # holds the run's name
    assert manifests[0] == manifests[1]
    assert manifests[0].keys() >= {"networks.safetensors", "optimizers.safetensors", "state.json"}
    assert logged(images / "runs" / f"{model}-whole") == logged(run_dir)


def logged(run_dir):
    return [json.loads(line)["nimg"] for line in (run_dir / "log.jsonl").read_text().splitlines()]
