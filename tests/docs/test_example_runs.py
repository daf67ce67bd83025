"""Examples that need more than images, from a manifest to an export, as a user would run them."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml
from cli.conftest import export
from clips import make_video, read_video
from docs.test_examples import install
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from training.toy import toy_config, toy_run, train_toy

import ganforge
from ganforge.api import GenerateRequest, ImageSpec, Sample, Source, hookimpl
from ganforge.pipeline.run import run_pipeline
from ganforge.registry.plugins import Plugin, get_registry
from ganforge.training.runtime import Runtime

TRAIN = {
    "batch_size": 4,
    "total_kimg": 0.008,
    "log_every_kimg": 0.004,
    "sample_grid": [2, 3],
    "compile": False,
    "trackers": [],
}


class Clips(Source):
    """Frame sequences with their negatives as the source."""

    name = "docs_clips"

    def samples(self, stream="main"):
        rng = np.random.default_rng(0)
        for number in range(6):
            frames = rng.integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)
            yield Sample(f"clip{number}", {"source": list(255 - frames), "frames": list(frames)})


class ClipsPlugin:
    @staticmethod
    @hookimpl
    def ganforge_sources():
        return [Clips]


def run(folder, monkeypatch, **pipeline):
    monkeypatch.chdir(folder)
    (folder / "run.yaml").write_text(yaml.safe_dump({"name": "run", "train": TRAIN, **pipeline}))
    return run_pipeline("run.yaml").run_dir


def test_text_example_runs_from_a_manifest_to_an_export(tmp_path, monkeypatch):
    install("text_gan")
    rng = np.random.default_rng(0)
    rows = []
    for number in range(8):
        pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        np.save(tmp_path / f"{number}.npy", rng.standard_normal(5).astype(np.float32))
        rows.append(json.dumps({"image": f"{number}.png", "text": f"{number}.npy"}))
    (tmp_path / "all.jsonl").write_text("\n".join(rows))
    run_dir = run(
        tmp_path,
        monkeypatch,
        data={"source": {"name": "manifest", "path": "all.jsonl"}, "workers": 0},
        model={"architecture": "text_gan", "width": 8},
        stages=["prepare", "train", "publish"],
    )
    assert (run_dir / "export" / "samples.png").exists()
    assert json.loads((run_dir / "export" / "config.json").read_text())["conditioning"] == ["text"]


def test_video_example_trains_on_frame_sequences(tmp_path, monkeypatch):
    install("video_gan")
    if "docs_clips" not in get_registry().plugins:
        get_registry().register(ClipsPlugin, Plugin("docs_clips", __name__, "ganforge-clips", "1"))
    run_dir = run(
        tmp_path,
        monkeypatch,
        data={"source": {"name": "docs_clips"}, "workers": 0},
        model={"architecture": "video_gan", "width": 4, "chunk_frames": 2},
        stages=["prepare", "train"],
    )
    assert len(list((run_dir / "samples").glob("*.png"))) >= 1


def test_log_pictures_example_shows_its_picture_in_tensorboard(tmp_path, monkeypatch):
    module = install("log_pictures")
    monkeypatch.setattr(module, "EVERY_KIMG", 0.032)
    toy = toy_run(toy_config({"total_kimg": 0.08}))
    runtime = Runtime("fp32", ["tensorboard"], tmp_path)
    runtime.accelerator.init_trackers("pictures")
    toy.runtime = runtime
    try:
        train_toy(toy)
    finally:
        get_registry().manager.unregister(module)
    runtime.accelerator.end_training()
    (folder,) = (path.parent for path in tmp_path.rglob("events.out.*"))
    pictures = EventAccumulator(str(folder)).Reload().Images("fixed seeds")
    assert [(picture.step, picture.width, picture.height) for picture in pictures] == [
        (32, 16, 16),
        (64, 16, 16),
    ]


TRANSLATE = """
import resource, sys
from docs.test_examples import install
from ganforge.cli import main

install("video_gan")
main(sys.argv[1:], standalone_mode=False)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.fixture(scope="module")
def video_model(tmp_path_factory):
    install("video_gan")
    spec = ImageSpec(16, 16, 3, source_channels=3, num_frames=5)
    return export(tmp_path_factory.mktemp("models"), "video_gan", spec)


def test_video_example_translates_250_frames_in_the_memory_of_50(tmp_path, video_model):
    """200 frames of this size are 88 MB: more than a tenth of the whole process."""
    peaks = {}
    for num in (50, 250):
        clip = make_video(tmp_path / f"{num}.mp4", num, size=(192, 192), audio="aac")
        out = tmp_path / f"out{num}.mp4"
        arguments = [
            "translate",
            video_model,
            clip,
            "--out",
            out,
            "--device",
            "cpu",
            "--batch-size",
            4,
        ]
        command = [sys.executable, "-c", TRANSLATE, *map(str, arguments)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        ran = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        assert f"{num} frames, 192 x 192, 25 frames per second, with audio" in ran.stdout
        peaks[num] = int(ran.stdout.split()[-1])
        before, after = read_video(clip), read_video(out)
        assert after[1:] == before[1:], "times, rate and audio are kept"
        assert len(after[0]) == num
    assert peaks[250] < 1.1 * peaks[50]


def test_video_example_in_python_equals_the_whole_clip_bit_for_bit(video_model):
    model = ganforge.from_pretrained(video_model, device="cpu")
    clip = torch.rand(250, 3, 20, 24) * 2 - 1
    with torch.no_grad():
        request = GenerateRequest([0], source=clip[None])
        (whole,) = model.architecture.generate(model.networks, request)
    for chunk_frames in (1, 7, 250):
        found = model.translate_video(clip, chunk_frames=chunk_frames, output_type="pt")
        assert torch.equal(torch.stack(list(found)), whole)
