"""Mode coverage measures modes, not quality, and diversity alone does not see lost modes."""

import pytest
import torch
from training.clusters import clusters

from ganforge.config.models import HealthConfig
from ganforge.training.tasks.modes import Modes, diversity, features


def test_diversity_is_the_mean_distance_and_zero_for_copies():
    assert diversity(torch.ones(4, 1, 8, 8)) == 0.0
    pair = torch.stack([torch.ones(1, 4, 4), -torch.ones(1, 4, 4)])
    assert diversity(pair) == pytest.approx(2.0)


@pytest.mark.parametrize("shown", [[0], [2, 5], [0, 1, 2, 3], list(range(8))])
def test_coverage_is_the_fraction_of_modes_that_samples_show(shown):
    real, gen = features(clusters(128, range(8), 1)), features(clusters(64, shown, 2))
    assert Modes(real).coverage(gen) == pytest.approx(len(shown) / 8, abs=0.1)


def test_coverage_does_not_measure_quality():
    real, gen = features(clusters(128, range(8), 1)), features(clusters(64, range(8), 2))
    blurred = 0.5 * gen + 0.2 * torch.randn(gen.shape, generator=torch.Generator().manual_seed(3))
    assert Modes(real).coverage(blurred) > 0.9


def test_modes_are_the_clusters_and_count_only_with_their_share_of_the_samples():
    real = torch.tensor([[0.0]] * 4 + [[10.0]] * 8)  # 3 clusters for 12 samples, one of them empty
    modes = Modes(real)
    assert modes.coverage(real) == 1.0
    # A third of the data: a quarter of its share is 2 of 24.
    one, two = (torch.tensor([[1.0]] * n + [[9.0]] * (24 - n)) for n in (1, 2))
    assert modes.coverage(one) == pytest.approx(2 / 3)
    assert modes.coverage(two) == 1.0


def test_diversity_alone_does_not_show_that_six_of_eight_modes_are_missing():
    real, two = clusters(128, range(8), 1), clusters(64, (2, 5), 2)
    assert diversity(two) > HealthConfig().min_diversity * diversity(real)


def test_modes_of_the_same_data_are_the_same():
    real = features(clusters(64, range(8), 1))
    first, second = Modes(real), Modes(real.clone())
    assert torch.equal(first._centers, second._centers)


def test_modes_of_few_samples_are_few():
    assert len(Modes(torch.randn(3, 5))._centers) == 1
    assert len(Modes(torch.randn(19, 5))._centers) == 4


def test_features_average_images_and_only_flatten_the_rest():
    img = torch.arange(32.0).repeat(2, 1, 32, 1)  # columns 0, 1, 2, ... of each row
    found = features(img)
    assert found.shape == (2, 256)
    assert found[0, :3].tolist() == [0.5, 2.5, 4.5]
    assert features(torch.ones(2, 1, 1, 2)).shape == (2, 2)
    assert features(torch.ones(2, 5, 3, 4, 4)).shape == (2, 240)
