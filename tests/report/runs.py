"""Folders of runs as the pipeline writes them, for tests of what reads them."""

import json
import os
import time

import yaml
from PIL import Image

METRIC = {
    "metric": "fid", "name": "fid", "value": 10.0, "lower_is_better": True, "n_gen": 50,
    "n_real": 60, "reference": "abc", "extractor": "tiny", "extractor_sha256": "0",
    "needs": "pooled", "resize": "none", "precision": "fp32", "ema": True, "seed": 0,
    "nimg": 4000, "ganforge_version": "0",
}  # fmt: skip


def config(name="tiny", total_kimg=4.0, **train):
    settings = {"total_kimg": total_kimg, "sample_grid": [2, 3], "max_minutes": None, **train}
    return {"name": name, "description": "", "run_dir": None, "train": settings}


def record(kimg, **more):
    counters = {"nimg": round(kimg * 1000), "kimg": kimg, "step": 1, "elapsed_sec": 10 * kimg}
    losses = {"loss/discriminator/adversarial": 0.5, "loss/generator/adversarial": 2.0 / kimg}
    return {**counters, **losses, "img_per_sec": 100.0, "memory_gb": 0.5, **more}


def write_lines(path, lines):
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def write_run(folder, *, lines=None, metrics=(), num_pictures=0, **settings):
    """A run of 4 kimg with a record each; `settings` are those of `config`."""
    (folder / "samples").mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config(**settings)))
    write_lines(
        folder / "log.jsonl", [record(k) for k in (1.0, 2.0, 3.0, 4.0)] if lines is None else lines
    )
    if metrics:
        write_lines(folder / "metrics.jsonl", [METRIC | changes for changes in metrics])
    for number in range(1, num_pictures + 1):
        color = (0, 0, 255 * number // num_pictures)
        Image.new("RGB", (24, 16), color).save(folder / f"samples/nimg-{1000 * number:09d}.png")
    return folder


def write_spec(folder, **spec):
    """A checkpoint that states what the model generates."""
    checkpoint = folder / "checkpoints" / "nimg-000004000"
    checkpoint.mkdir(parents=True)
    (checkpoint / "state.json").write_text(json.dumps({"spec": spec}))
    return checkpoint


def make_old(folder, sec):
    """Set the times of all files back."""
    then = time.time() - sec
    for path in folder.rglob("*"):
        os.utime(path, (then, then))
