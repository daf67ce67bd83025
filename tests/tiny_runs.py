"""Tiny runs of whole pipelines, which several tests start: images, models, processes."""

import os
import subprocess
import sys
import time

import numpy as np
import yaml
from PIL import Image

DCGAN = {"architecture": "dcgan", "z_dim": 4, "base_channels": 4}
CYCLEGAN = {
    "architecture": "cyclegan", "generator_width": 4, "num_blocks": 1, "discriminator_width": 4,
    "discriminator_layers": 1,
}  # fmt: skip
TRAIN = {"batch_size": 4, "sample_grid": [2, 2], "compile": False, "trackers": []}


def write_noise(folder, num, side=8, seed=0):
    """Square color images of noise: 0.png, 1.png, ..."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for number in range(num):
        pixels = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")


def write_pipeline(folder, name="tiny", **sections):
    (folder / f"{name}.yaml").write_text(yaml.safe_dump({"name": name, **sections}))


def write_dcgan(folder, num_images, train, workers=0, **sections):
    """`tiny.yaml`: a DCGAN on noise."""
    write_noise(folder / "images", num_images)
    source = {"name": "folder", "path": "images"}
    data = {"source": source, "resolution": 8, "workers": workers}
    write_pipeline(folder, data=data, model=DCGAN, train={**TRAIN, **train}, **sections)


def start(folder, *launcher, name="tiny", **environment):
    """Start `python -m ganforge.run NAME.yaml`, or by a launcher."""
    return subprocess.Popen(
        [sys.executable, *launcher, "-m", "ganforge.run", f"{name}.yaml"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, "GANFORGE_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", **environment},
    )


def finish(process):
    """The output of a process that succeeds."""
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    return output


def wait_for(path, process, seconds=240):
    """Wait for a running process to write a file."""
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.005)
