"""The metrics that docs/metrics.md teaches, from one file each, and the settings that it shows."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from docs.test_examples import install
from metrics.inception import random_inception_weights
from metrics.tiny import fake_generator, images, negative_translator, write_pairs, write_shards
from PIL import Image

from ganforge.config.models import DataConfig, EvaluateConfig
from ganforge.errors import MetricError
from ganforge.interfaces.metric import FeatureExtractor, Metric
from ganforge.metrics.evaluation import evaluate
from ganforge.pipeline.run import run_pipeline
from ganforge.pipeline.session import _runtime
from ganforge.pipeline.stages.evaluate import read_records
from ganforge.registry.plugins import get_registry
from ganforge.training.runtime import Runtime

PAGE = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()


@pytest.fixture(autouse=True)
def examples():
    install("coverage")
    install("color_shift")


def measure(model, shards, tmp_path, **options):
    common = {"num_images": 4, "batch_size": 4, "cache_dir": str(tmp_path / "cache")}
    config = EvaluateConfig(**(common | options))
    return evaluate(model, config, str(shards), Runtime("fp32"), data=DataConfig(workers=0))


@pytest.mark.parametrize("block", re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))
def test_settings_of_the_page_are_valid(block):
    config = EvaluateConfig(**yaml.safe_load(block)["evaluate"])
    registry = get_registry()
    for metric in config.metrics:
        registry.configure(Metric, metric.name, metric.options, "evaluate.metrics")
        chosen = metric.extractor or config.extractor
        registry.configure(FeatureExtractor, chosen.name, chosen.options, "evaluate.extractor")


def test_third_party_metric_works_on_the_default_extractor(tmp_path):
    extractor = {
        "name": EvaluateConfig().extractor.name,
        "weights": str(random_inception_weights(tmp_path / "random.pth")),
        "sha256": None,
    }
    assert extractor["name"] == "inception_v3"
    shards = write_shards(tmp_path / "shards", images(4, seed=1, channels=3))
    metrics = ({"name": "coverage", "neighbors": 2}, "fid")
    coverage, fid = measure(
        fake_generator(channels=3), shards, tmp_path, metrics=metrics, extractor=extractor
    )
    assert (coverage.metric, coverage.extractor, coverage.needs) == (
        *("coverage", "inception_v3", "pooled"),
    )
    assert 0 <= coverage.value <= 1 and fid.value > 0


def test_coverage_is_the_share_of_real_points_that_are_reached():
    coverage = get_registry().build(Metric, "coverage", {"neighbors": 1}, "evaluate.metrics")
    real = torch.tensor([[0.0], [1.0], [10.0], [11.0]])
    assert coverage.compute(real, real) == {"coverage": 1.0}
    assert coverage.compute(torch.tensor([[0.5]]), real) == {"coverage": 0.5}
    assert coverage.compute(torch.tensor([[99.0]]), real) == {"coverage": 0.0}
    with pytest.raises(MetricError, match="has 1 real images and needs more than neighbors=1"):
        coverage.check(9, 1)


def test_color_shift_of_a_translator_is_the_mean_over_pairs_in_every_direction(tmp_path):
    pairs = write_pairs(tmp_path / "pairs", count=3)  # with errors of 1, 2 and 3 in each pixel
    records = measure(negative_translator(), pairs, tmp_path, metrics=("color_shift",))
    directions = ["source_to_target", "target_to_source"]
    assert [r.label for r in records] == [f"color_shift/{name}" for name in directions]
    assert [r.value for r in records] == pytest.approx([2, 2], rel=1e-5)


def test_color_shift_ignores_where_a_color_is():
    metric = get_registry().build(Metric, "color_shift", {}, "evaluate.metrics")
    img = torch.rand(3, 3, 4, 4)
    assert metric.compare(img, img.flip(3), img)["color_shift"].max() < 1e-4


@pytest.fixture
def cyclegan(tmp_path, monkeypatch):
    """A function that runs a tiny CycleGAN pipeline, and measures its PSNR."""
    _runtime.cache_clear()
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(6):
            pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.png")
    rows = [{"source": f"a/{n}.png", "target": f"b/{n}.png"} for n in range(6)]
    (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows)))

    def run(source):
        pipeline = {
            "name": "run",
            "stages": ["prepare", "train", "evaluate"],
            "data": {"source": source, "workers": 0},
            "model": {
                "architecture": "cyclegan", "generator_width": 4, "num_blocks": 1,
                "discriminator_width": 4, "discriminator_layers": 1,
            },
            "train": {
                "total_kimg": 0.004, "batch_size": 2, "compile": False, "trackers": [],
                "sample_grid": [1, 2],
            },
            "evaluate": {"metrics": ["psnr"], "num_images": 2},
        }  # fmt: skip
        (tmp_path / "run.yaml").write_text(yaml.safe_dump(pipeline))
        return run_pipeline("run.yaml").run_dir

    return run


def test_psnr_of_a_pipeline_is_recorded_for_both_directions(cyclegan):
    records = read_records(cyclegan({"name": "manifest", "path": "pairs.jsonl"}))
    assert [(r.label, r.n_real) for r in records] == [
        ("psnr/source_to_target", 6),
        ("psnr/target_to_source", 6),
    ]


def test_psnr_of_a_pipeline_of_unpaired_data_is_refused_before_training(cyclegan, tmp_path):
    with pytest.raises(MetricError, match="'psnr' compares each translation.*is unpaired"):
        cyclegan({"name": "unpaired", "source": "a", "target": "b"})
    assert (tmp_path / "runs" / "run" / "shards" / "index.json").exists()
    assert not (tmp_path / "runs" / "run" / "samples").exists()
