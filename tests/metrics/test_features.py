import pytest
import torch
from metrics.tiny import TinyExtractor, fake_generator, images
from torch.testing import assert_close

from ganforge.config.models import StrictModel
from ganforge.errors import MetricError
from ganforge.metrics.features import extract_features, generated, over_white, plan_batches


def batches_of(img):
    return lambda plan: (img[list(indices)] for indices in plan)


def tiny():
    return TinyExtractor(StrictModel())


@pytest.mark.parametrize("batch", [1, 3, 4, 10, 64])
def test_features_are_in_index_order_whatever_the_batch(runtime, batch):
    img = images(10, seed=0)
    found = extract_features(batches_of(img), 10, tiny(), ["halves", "logits"], runtime, batch)
    expected = tiny()(img)
    assert_close(found["halves"], expected["halves"])
    assert_close(found["logits"], expected["logits"])


@pytest.mark.parametrize("world", [1, 2, 3, 4])
@pytest.mark.parametrize("count", [1, 5, 8, 9, 17, 24])
def test_plan_gathered_over_ranks_is_every_index_once_in_order(world, count):
    batch = 4
    plans = [plan_batches(count, batch, rank, world) for rank in range(world)]
    assert len({len(plan) for plan in plans}) == 1
    rows = [
        (list(indices) + [indices[-1]] * batch)[:batch]  # as short batches are padded
        for round_of_ranks in zip(*plans, strict=True)
        for indices in round_of_ranks
    ]
    assert sum(rows, [])[:count] == list(range(count))


def test_plan_holds_one_batch_of_images_at_a_time():
    assert max(len(indices) for indices in plan_batches(1000, 8, 1, 3)) == 8


def test_features_extractor_without_the_layer_is_named(runtime):
    with pytest.raises(
        MetricError, match="'tiny' gave no layer '2048', only halves, logits.*choose"
    ):
        extract_features(batches_of(images(4, 0)), 4, tiny(), ["2048"], runtime, 4)


@pytest.mark.parametrize(
    "img", [torch.zeros(2, 1, 8, 8), torch.zeros(2, 3, 1, 8, 8, dtype=torch.uint8)]
)
def test_features_unusable_images_are_refused(runtime, img):
    with pytest.raises(MetricError, match="cannot be measured.*must be uint8.*measure frames"):
        extract_features(batches_of(img), 2, tiny(), ["halves"], runtime, 2)


def test_over_white_mixes_by_alpha_and_keeps_opaque_images():
    rgba = torch.tensor([10, 20, 30, 0], dtype=torch.uint8).view(1, 4, 1, 1)
    assert over_white(rgba).flatten().tolist() == [255, 255, 255]
    rgba[0, 3] = 255
    assert over_white(rgba).flatten().tolist() == [10, 20, 30]
    rgba[0, 3] = 51  # a fifth
    assert over_white(rgba).flatten().tolist() == [206, 208, 210]
    rgb = images(2, 0, channels=3)
    assert over_white(rgb) is rgb


def test_generated_image_i_has_seed_plus_i():
    asked = []

    def generate(seeds):
        asked.extend(seeds)
        return fake_generator()(seeds)

    first, second = generated(generate, 100, (1, 8, 8))([range(0, 2), range(4, 5)])
    assert asked == [100, 101, 104]
    assert_close(second, images(1, 10_104))


def test_generated_bytes_are_rounded_and_clamped():
    values = torch.tensor([-3.0, -1.0, 0.0, 1.0, 3.0]).view(1, 1, 1, 5)
    (img,) = generated(lambda seeds: values, 0, (1, 1, 5))([range(1)])
    assert img.flatten().tolist() == [0, 0, 128, 255, 255]


def test_generated_other_shape_than_the_reference_is_refused():
    with pytest.raises(
        MetricError, match=r"\[1, 1, 8, 8\] where \[1, 3, 8, 8\].*evaluate.reference"
    ):
        next(generated(fake_generator(), 0, (3, 8, 8))([range(1)]))


def test_generated_nan_names_the_seeds():
    with pytest.raises(MetricError, match="NaN.*seeds 5 to 6.*earlier checkpoint"):
        next(generated(lambda s: torch.full((2, 1, 8, 8), torch.nan), 5, (1, 8, 8))([range(2)]))
