"""Runs on random crops and windows of clips: killed and resumed, or on two ranks, they are equal.

They read shards that are written here, through a plugin with a derivation.
"""

import functools
import io
import json
import os
import signal
import sys

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image
from tiny_runs import CYCLEGAN, write_pipeline
from training import forked
from training.state.test_resume import LAST, TRAIN_TO_LAST

from ganforge.data.shards.clip import pack_clip
from ganforge.data.shards.index import DatasetIndex, FieldSchema
from ganforge.data.shards.writer import EncodedSample, write_stream
from ganforge.interfaces.spec import ImageSpec
from ganforge.registry.plugins import get_registry

PLUGIN = """
import numpy as np
from ganforge.api import ComponentOptions, Derivation, hookimpl


class Noisy(Derivation[ComponentOptions]):
    name, Config = "kill_noisy", ComponentOptions

    def derive(self, img, seed, frame=0):
        return img + np.random.default_rng([seed, frame]).normal(0, 0.1, img.shape)


@hookimpl
def ganforge_derivations():
    return [Noisy]
"""
IMAGE = FieldSchema(kind="image", height=20, width=20, channels=3)
CLIP = IMAGE.model_copy(update={"is_clip": True, "num_frames": 9})
MODELS = {
    "pairs": {
        "data": {"fields": {}},
        "model": CYCLEGAN,
        "loss": "least_squares",
    },
    "clips": {
        "data": {
            "derive": "kill_noisy",
            # It doubles after the kill, from 3 frames up to 5.
            "clip": {
                "num_frames": {"from": 3, "to": 5, "over_kimg": 0.08, "shape": "doubling"},
                "stride": 2,
            },
        },
        "model": {
            "architecture": "vid2vid",
            "generator_width": 2,
            "first_width": 2,
            "num_downs": 1,
            "num_blocks": 0,
            "discriminator_width": 2,
            "discriminator_layers": 1,
            "num_scales": 1,
            "chunk_frames": 2,
            "motion_strides": [1, 2],
        },
        "loss": "least_squares",
    },
}


def encoded(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def write_shards(folder, fields, members, spec):
    folder.mkdir(parents=True)
    samples = (EncodedSample(f"{n:03d}", m) for n, m in enumerate(members))
    index = DatasetIndex.build(
        spec, {"main": write_stream(folder, "main", samples, sorted(fields), 9)}, fields
    )
    (folder / "index.json").write_text(index.to_json())


def write_plugin(folder):
    """An importable plugin with an entry point, as if it were installed."""
    (folder / "kill_noisy.py").write_text(PLUGIN)
    info = folder / "kill_plugins-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: kill-plugins\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[ganforge]\nkill_noisy = kill_noisy\n")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    forked.import_all()
    folder = tmp_path_factory.mktemp("crops")
    rng = np.random.default_rng(0)
    draw = lambda: encoded(rng.integers(0, 256, (20, 20, 3), dtype=np.uint8))  # noqa: E731
    pairs = [{"source.png": draw(), "target.png": draw()} for _ in range(25)]
    spec = ImageSpec(20, 20, source_channels=3)
    write_shards(folder / "pairs", {"source": IMAGE, "target": IMAGE}, pairs, spec)
    clips = [{"frames.clip": pack_clip([draw() for _ in range(9)])} for _ in range(25)]
    write_shards(folder / "clips", {"frames": CLIP}, clips, ImageSpec(20, 20, num_frames=9))
    write_plugin(folder)
    return folder


def start(folder, name, model, ranks=1):
    sections = json.loads(json.dumps(MODELS[model]))
    sections["data"] |= {
        "shards": model,
        "resolution": 16,
        "crop": {"from": 20, "scale": [1, 1.5]},
        "flip": True,
        "workers": 2,
        "shuffle_window": 7,
    }
    train = {**TRAIN_TO_LAST, "compile": False, "precision": "fp32"}
    write_pipeline(folder, name, stages=["train"], train=train, **sections)
    return forked.start(folder, ranks, name, before=functools.partial(find_plugin, folder))


def find_plugin(folder):
    """What a process does that starts with this folder on its path."""
    sys.path.insert(0, str(folder))
    get_registry.cache_clear()


def finish(folder, name, model, ranks=1):
    started = start(folder, name, model, ranks)
    assert forked.end(started) == [0] * ranks, forked.said(folder, name)
    return (folder / f"{name}-0.txt").read_text()


@pytest.fixture(scope="module", params=MODELS)
def whole(request, folder):
    """A model, and the run of one process that nothing interrupts."""
    finish(folder, f"{request.param}-whole", request.param)
    return request.param, folder / "runs" / f"{request.param}-whole"


def test_killed_run_on_random_crops_resumes_bit_for_bit(folder, whole):
    model, expected = whole
    run_dir = folder / "runs" / f"{model}-killed"
    (victim,) = start(folder, f"{model}-killed", model)
    forked.wait_for(run_dir / "checkpoints" / "nimg-000000044", victim)
    os.killpg(victim.pid, signal.SIGKILL)
    assert forked.end([victim]) == [-signal.SIGKILL]
    assert not (run_dir / LAST).exists()
    assert "Resumed from" in finish(folder, f"{model}-killed", model)
    manifests = [
        json.loads((path / LAST / "manifest.json").read_text()) for path in (expected, run_dir)
    ]
    for manifest in manifests:
        manifest.pop("config.yaml")  # holds the run's name
    assert manifests[0] == manifests[1]


@pytest.mark.dist
def test_run_on_random_crops_is_the_same_on_two_ranks(folder, whole):
    model, expected = whole
    finish(folder, f"{model}-ranks", model, ranks=2)
    found = folder / "runs" / f"{model}-ranks"
    one, two = (
        safetensors.torch.load_file(path / LAST / "networks.safetensors")
        for path in (expected, found)
    )
    assert one.keys() == two.keys()
    for key, tensor in one.items():
        torch.testing.assert_close(two[key], tensor, rtol=1e-3, atol=1e-4, msg=key)
