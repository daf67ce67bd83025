import pytest
import torch
from metrics.tiny import fake_generator, images, negative_translator

from ganforge.config.models import DataConfig, EvaluateConfig
from ganforge.errors import DataError, MetricError
from ganforge.metrics.view import View


def opened(reference, model, direction="", **options):
    config, data = EvaluateConfig(**options), DataConfig(workers=0)
    return View.open(model, direction, config, reference, data, torch.device("cpu"))


def test_view_generates_image_i_from_seed_plus_i(shards):
    first, second = opened(shards, fake_generator(), seed=100).generate([range(2), range(4, 5)])
    expected = [images(1, 10_000 + seed) for seed in (100, 101, 104)]
    assert torch.equal(torch.cat([first, second]), torch.cat(expected))


@pytest.mark.parametrize(
    ("direction", "real", "num_real"),
    [("source_to_target", "main.target", None), ("target_to_source", "main.source", 4)],
)
def test_view_of_a_direction_compares_with_its_target(pairs, direction, real, num_real):
    view = opened(pairs, negative_translator(), direction, num_real=num_real)
    assert (view.direction, view.real.split) == (direction, real)
    assert len(view.real) == (num_real or 11)
    (made,) = view.generate([range(3)])
    source = view.requests.samples(range(3))[direction.split("_")[0]]
    assert torch.equal(made, 255 - source)


def test_view_of_a_direction_that_the_reference_lacks_is_refused(pairs):
    with pytest.raises(DataError, match="'frames' is needed"):
        opened(pairs, negative_translator(), "source_to_frames")


def test_view_of_images_of_another_size_is_refused(shards):
    with pytest.raises(MetricError, match="Prepare evaluate.reference with the size"):
        next(opened(shards, fake_generator(side=9)).generate([range(1)]))
