"""The metrics that docs/metrics.md teaches, from one file each, and the settings that it shows."""

import re
from pathlib import Path

import pytest
import torch
import yaml
from docs.test_examples import install
from metrics.inception import random_inception_weights
from metrics.tiny import fake_generator, images, negative_translator, write_pairs, write_shards

from ganforge.config.models import DataConfig, EvaluateConfig
from ganforge.errors import MetricError
from ganforge.interfaces.metric import FeatureExtractor, Metric
from ganforge.metrics.evaluation import evaluate
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
