import logging
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from metrics.tiny import Gap, TinyExtractor, fake_generator

from ganforge.config.models import EvaluateConfig, StrictModel
from ganforge.errors import MetricError
from ganforge.interfaces.metric import FeatureMetric
from ganforge.metrics.features import Output
from ganforge.metrics.scoring import score_features, score_pairs
from ganforge.metrics.view import View

OUTPUT = Output(TinyExtractor(StrictModel()), "pooled")
FEATURES = torch.arange(8.0).view(4, 2)


class Mean(FeatureMetric[StrictModel]):
    """The means of what it gets."""

    name = "mean"

    def compute(self, gen, real):
        return {"gen": gen.mean().item(), "real": real.mean().item()}


class GenOnly(FeatureMetric[StrictModel]):
    name = "gen_only"
    needs_real = False

    def compute(self, gen, real):
        return {"rows": float(len(real)), "columns": float(real.shape[1])}


SOURCES = SimpleNamespace(num_sources=99)


class RealSet(SimpleNamespace):
    digest, split, num_frames = "abc", "main.image", 1

    def __len__(self):
        return 6


def view(direction="", **changes):
    config = EvaluateConfig(num_images=4, seed=3, truncation=0.5)
    return View(replace(fake_generator(), **changes), config, direction, RealSet(), SOURCES)


def test_score_features_gives_the_metric_its_tensors_and_the_record_its_provenance():
    first, second = score_features(Mean(StrictModel()), OUTPUT, FEATURES, FEATURES + 1, view())
    assert (first.name, first.value, second.name, second.value) == ("gen", 3.5, "real", 4.5)
    assert (first.n_gen, first.n_real, first.reference, first.split) == (4, 6, "abc", "main.image")
    assert (first.extractor, first.needs, first.seed, first.nimg) == ("tiny", "pooled", 3, 5000)
    assert (first.truncation, first.direction) == (0.5, "")


@pytest.mark.parametrize("real", [None, FEATURES])
def test_score_features_metric_without_real_images_gets_and_records_none(real):
    rows, columns = score_features(GenOnly(StrictModel()), OUTPUT, FEATURES, real, view())
    assert (rows.value, columns.value) == (0, 2)
    assert (rows.n_real, rows.reference, rows.split) == (0, "", "")


def test_score_features_that_the_model_was_trained_against_are_a_caveat(caplog):
    with caplog.at_level(logging.WARNING):
        seen = view(seen_features=("tiny",))
        (record, _) = score_features(Mean(StrictModel()), OUTPUT, FEATURES, FEATURES, seen)
    assert "trained against features of 'tiny', which flatters it" in record.caveats[-1]
    assert record.caveats[-1] in caplog.text


@pytest.mark.parametrize(("which", "place"), [("generated", 0), ("real", 1)])
def test_score_features_that_are_nan_name_the_images_and_the_progress(which, place):
    features = [FEATURES, FEATURES]
    features[place] = FEATURES * torch.nan
    with pytest.raises(MetricError, match=f"{which} images are NaN .*'pooled' of 'tiny' .nimg"):
        score_features(Mean(StrictModel()), OUTPUT, *features, view())


def test_score_pairs_is_the_mean_and_names_the_direction():
    values = {"gap": torch.tensor([10.0, 20.0, 60.0])}
    (record,) = score_pairs(Gap(StrictModel()), values, view("source_to_target"))
    assert (record.value, record.label) == (30, "gap/source_to_target")
    assert (record.needs, record.extractor, record.n_gen, record.n_real) == ("pairs", "", 6, 6)


def test_score_pairs_mean_is_exact_for_many_values():
    values = {"gap": torch.full((100_001,), 0.1)}
    (record,) = score_pairs(Gap(StrictModel()), values, view("source_to_target"))
    assert record.value == pytest.approx(torch.tensor(0.1).item(), rel=1e-12)


def test_score_value_that_is_not_finite_is_an_error():
    with pytest.raises(MetricError, match="gap=inf .nimg=5000.*degenerate.*Look at the samples"):
        score_pairs(Gap(StrictModel()), {"gap": torch.tensor([torch.inf])}, view())
