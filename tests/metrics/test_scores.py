import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from ganforge.config.models import StrictModel
from ganforge.errors import MetricError
from ganforge.metrics.scores import (
    FrechetDistance,
    FrechetDistanceOfHalves,
    InceptionScore,
    InceptionScoreConfig,
    KernelDistance,
    KernelDistanceConfig,
    PrecisionRecall,
    PrecisionRecallConfig,
)


def gaussian(count: int, mean: list[float], std: list[float], seed: int) -> torch.Tensor:
    """Features whose sample mean and covariance are exactly diag(std^2) round `mean`."""
    x = torch.randn(count, len(mean), generator=torch.Generator().manual_seed(seed)).double()
    x = x - x.mean(0)
    covariance = x.T @ x / (count - 1)
    x = x @ torch.linalg.inv(torch.linalg.cholesky(covariance)).T
    return (x * torch.tensor(std) + torch.tensor(mean)).float()


def fid(gen: torch.Tensor, real: torch.Tensor) -> float:
    return FrechetDistance(StrictModel()).compute(gen, real)["fid"]


def test_fid_two_gaussians_equals_closed_form():
    gen = gaussian(300, [1.0, -2.0, 0.5], [1.0, 2.0, 0.5], seed=0)
    real = gaussian(200, [0.0, 1.0, 0.5], [2.0, 2.0, 1.5], seed=1)
    # Diagonal covariances: |difference of means|^2 + sum of (difference of deviations)^2.
    expected = (1 + 9 + 0) + (1 + 0 + 1)
    assert fid(gen, real) == pytest.approx(expected, abs=1e-4)


def test_fid_rotation_of_both_sets_changes_nothing():
    gen = gaussian(50, [1.0, 0.0], [1.0, 3.0], seed=0)
    real = gaussian(60, [0.0, 0.0], [2.0, 1.0], seed=1)
    c, s = math.cos(0.7), math.sin(0.7)
    turn = torch.tensor([[c, -s], [s, c]])
    assert fid(gen @ turn, real @ turn) == pytest.approx(fid(gen, real), abs=1e-4)


def test_fid_equal_sets_is_zero():
    gen = gaussian(50, [1.0, 0.0], [1.0, 3.0], seed=0)
    assert fid(gen, gen.clone()) == pytest.approx(0, abs=1e-6)


def test_fid_few_images_is_said_in_caveats():
    metric = FrechetDistance(StrictModel())
    few, many = torch.zeros(4, 4), torch.zeros(5, 4)
    assert metric.caveats(many, many) == []
    (caveat,) = metric.caveats(few, many)
    assert "4 generated images for 4 features" in caveat
    assert "rank-deficient" in caveat and "use more than 4" in caveat


def inception_score(logits: torch.Tensor, splits: int = 1) -> dict[str, float]:
    metric = InceptionScore(InceptionScoreConfig(splits=splits))
    return metric.compute(logits, logits[:0])


def test_is_uniform_predictions_is_one():
    found = inception_score(torch.zeros(40, 7), splits=4)
    assert found["is"] == pytest.approx(1, rel=1e-9)
    assert found["is_std"] == pytest.approx(0, abs=1e-9)


def test_is_certain_and_even_predictions_is_the_number_of_classes():
    logits = 100 * torch.eye(5).repeat(8, 1)
    assert inception_score(logits)["is"] == pytest.approx(5, rel=1e-6)


def test_is_certain_single_class_is_one():
    logits = 100 * torch.eye(5)[:1].repeat(20, 1)
    assert inception_score(logits)["is"] == pytest.approx(1, rel=1e-6)


def kernel_distance(gen: torch.Tensor, real: torch.Tensor, **options: int) -> dict[str, float]:
    metric = KernelDistance(KernelDistanceConfig(**options))
    return metric.compute(gen, real)


def test_kid_whole_sets_equals_unbiased_estimate_by_hand():
    gen, real = gaussian(12, [1.0, 0.0], [1.0, 1.0], 0), gaussian(12, [0.0, 0.0], [1.0, 2.0], 1)

    def kernel(a, b):
        return (a.double() @ b.double().T / 2 + 1) ** 3

    def off_diagonal_mean(k):
        return (k.sum() - k.trace()) / (12 * 11)

    expected = (
        off_diagonal_mean(kernel(gen, gen))
        + off_diagonal_mean(kernel(real, real))
        - 2 * kernel(gen, real).mean()
    )
    found = kernel_distance(gen, real, subsets=2, subset_size=12)
    assert found["kid"] == pytest.approx(expected.item(), rel=1e-4)
    assert found["kid_std"] == pytest.approx(0, abs=1e-5)


def test_kid_equal_distributions_is_near_zero_and_far_ones_are_not():
    a, b = (torch.randn(200, 3, generator=torch.Generator().manual_seed(s)) for s in (0, 1))
    assert abs(kernel_distance(a, b, subsets=20, subset_size=100)["kid"]) < 0.1
    assert kernel_distance(a, b + 2, subsets=20, subset_size=100)["kid"] > 5


def test_precision_recall_equal_sets_is_one_and_far_sets_zero():
    metric = PrecisionRecall(PrecisionRecallConfig())
    x = torch.randn(30, 2, generator=torch.Generator().manual_seed(0))
    same = metric.compute(x, x)
    assert_close(same, {"precision": 1.0, "recall": 1.0, "f_score": 1.0})
    far = metric.compute(x + 100, x)
    assert far == {"precision": 0.0, "recall": 0.0, "f_score": 0.0}


def test_precision_recall_collapsed_generator_is_precise_and_recalls_little():
    metric = PrecisionRecall(PrecisionRecallConfig())
    real = torch.from_numpy(np.stack(np.meshgrid(range(8), range(8)), -1)).view(-1, 2).float()
    found = metric.compute(real[:6] + 0.1, real)
    assert found["precision"] == 1.0
    assert found["recall"] < 0.5


@pytest.mark.parametrize(
    ("metric", "num_gen", "num_real", "message"),
    [
        (FrechetDistance(StrictModel()), 1, 9, "'fid' has 1 generated.*at least 2.*num_images"),
        (FrechetDistance(StrictModel()), 9, 1, "'fid' has 1 real images.*Raise evaluate.num_real"),
        (
            KernelDistance(KernelDistanceConfig()), 500, 2000,
            r"'kid' has 500 generated.*at least 1000.*\{name: kid, subset_size: 500\}",
        ),
        (InceptionScore(InceptionScoreConfig()), 9, 0, "'is' cuts 9.*splits: 1"),
        (PrecisionRecall(PrecisionRecallConfig()), 9, 3, "'precision_recall' has 3 real.*4.*neigh"),
    ],
)  # fmt: skip
def test_metric_too_few_images_says_how_many_it_needs(metric, num_gen, num_real, message):
    with pytest.raises(MetricError, match=message):
        metric.check(num_gen, num_real)


@pytest.mark.parametrize(
    "metric",
    [
        FrechetDistance(StrictModel()),
        KernelDistance(KernelDistanceConfig(subset_size=2)),
        InceptionScore(InceptionScoreConfig(splits=2)),
        PrecisionRecall(PrecisionRecallConfig(neighbors=1)),
    ],
)
def test_metric_just_enough_images_is_accepted(metric):
    metric.check(2, 2)


def test_fid_halves_compares_the_real_images_with_each_other_only():
    even = gaussian(40, [0.0, 0.0], [1.0, 1.0], seed=0)
    odd = gaussian(40, [3.0, 4.0], [1.0, 1.0], seed=1)
    real = torch.stack([even, odd], dim=1).flatten(0, 1)
    metric = FrechetDistanceOfHalves(StrictModel())

    for gen in (real[:0], 9 + real):
        assert metric.compute(gen, real)["fid_halves"] == pytest.approx(25, rel=1e-4)
    with pytest.raises(MetricError, match="'fid_halves' has 3 real images"):
        metric.check(100, 3)
