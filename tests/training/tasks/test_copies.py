"""A copy is much nearer to one training image than to any other; a bad sample is no copy."""

from types import SimpleNamespace

import pytest
import torch
from training.toy import toy_config, toy_run

from ganforge.training.tasks import copies as module
from ganforge.training.tasks.copies import Copies, training_features
from ganforge.training.tasks.modes import features


def noise(num, seed):
    return torch.randn(num, 1, 4, 4, generator=torch.Generator().manual_seed(seed))


TRAIN = noise(64, 0)


@pytest.mark.parametrize(
    ("img", "expected"),
    [
        (TRAIN[:8], 1.0),
        (TRAIN[:8].flip(-1), 1.0),  # data.flip shows both
        (TRAIN[:8] + 0.05 * noise(8, 1), 1.0),
        (noise(8, 2), 0.0),
        (TRAIN.mean(0, keepdim=True).repeat(8, 1, 1, 1), 0.0),  # blur is near to all of them
        (torch.cat([TRAIN[:2], noise(6, 3)]), 0.25),
    ],
)
def test_copies_are_counted_and_bad_samples_are_not(img, expected):
    assert Copies(features(TRAIN)).fraction(img) == expected


def test_copies_that_the_data_have_themselves_are_usual():
    assert Copies(features(TRAIN)).usual == 0.0
    doubled = torch.cat([TRAIN[:16], TRAIN[:4] + 0.01])
    assert Copies(features(doubled)).usual == pytest.approx(8 / 20)


@pytest.fixture
def stored(monkeypatch):
    """Pretend that so many images are stored."""

    def store(count):
        img = noise(count, 5)

        def batches(run, location, fields, size):
            for start in range(0, 2 * count, size):
                yield SimpleNamespace(image=torch.roll(img, -start, 0)[:size])

        index = SimpleNamespace(num_samples=lambda: count)
        monkeypatch.setattr(module, "load_index", lambda location: index)
        monkeypatch.setattr(module, "fixed_batches", batches)
        return img

    return store


@pytest.mark.parametrize("count", [8, 64, 150])
def test_training_features_are_those_of_all_images_once(stored, count):
    img = stored(count)
    torch.testing.assert_close(training_features(toy_run(toy_config()), ""), features(img))


@pytest.mark.parametrize("count", [3, 5000])
def test_training_features_of_very_few_or_many_images_are_not_read(stored, count):
    stored(count)
    assert training_features(toy_run(toy_config()), "") is None


def test_training_features_are_not_read_where_nobody_looks_for_copies(stored):
    stored(64)
    assert training_features(toy_run(toy_config({"health": {"enabled": False}})), "") is None
    run = toy_run(toy_config())
    run.architecture.directions = ("source_to_target",)  # a translator should come near its target
    assert training_features(run, "") is None
