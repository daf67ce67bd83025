import pytest
import torch

from ganforge.config.models import StrictModel
from ganforge.errors import ConfigError
from ganforge.interfaces.metric import FeatureExtractor, FeatureMetric, Metric, PairMetric


class Flat(FeatureExtractor[StrictModel]):
    name = "flat"
    sha256 = "0"

    def forward(self, img):
        return {"pooled": img.float().flatten(1)}


class Mean(FeatureMetric[StrictModel]):
    name = "mean"

    def compute(self, gen, real):
        return {"mean": gen.mean().item()}


class Error(PairMetric[StrictModel]):
    name = "error"

    def compare(self, source, output, target):
        return {"error": (output - target).abs().mean((1, 2, 3))}


def test_metric_of_features_needs_pooled_features_and_real_images_by_default():
    metric = Mean(StrictModel())
    assert isinstance(metric, Metric)
    assert (metric.needs, metric.needs_real, metric.lower_is_better) == ("pooled", True, True)
    assert metric.caveats(torch.zeros(1, 2), torch.zeros(1, 2)) == []
    metric.check(0, 0)


def test_metric_of_pairs_is_the_mean_over_all_pairs():
    metric = Error(StrictModel())
    assert isinstance(metric, Metric) and metric.needs == "pairs"
    output = torch.tensor([0.0, 0.5, 1.0]).view(3, 1, 1, 1)
    values = metric.compare(output, output, torch.zeros(3, 1, 1, 1))
    assert metric.compute(values) == {"error": 0.5}


def test_extractor_has_pooled_features_and_no_maps_by_default():
    extractor = Flat(StrictModel())
    assert extractor.outputs == ("pooled",)
    assert (extractor.resize, extractor.precision, extractor.compiled) == ("none", "fp32", False)
    with pytest.raises(ConfigError, match="'flat' has no feature maps.*docs/extractors.md"):
        extractor.maps(torch.zeros(1, 3, 8, 8))


def test_extractor_with_shapes_but_without_maps_is_refused(monkeypatch):
    monkeypatch.setattr(Flat, "map_shapes", classmethod(lambda *a: [(1, 8, 8)]))
    with pytest.raises(ConfigError, match="'flat' names the shapes of maps, but does not override"):
        Flat(StrictModel()).maps(torch.zeros(1, 3, 8, 8))
