import pytest
import torch
from metrics.tiny import OtherExtractor, TinyExtractor, images
from torch.testing import assert_close

from ganforge.config.models import StrictModel
from ganforge.errors import MetricError, PluginContractError
from ganforge.metrics.features import (
    Output,
    as_bytes,
    extract_features,
    gather_rows,
    over_white,
    plan_batches,
)


def batches_of(img):
    return lambda plan: (img[list(indices)] for indices in plan)


def tiny():
    return TinyExtractor(StrictModel())


@pytest.mark.parametrize("batch", [1, 3, 4, 10, 64])
def test_features_are_in_index_order_whatever_the_batch(runtime, batch):
    img = images(10, seed=0)
    extractor = tiny()
    outputs = [Output(extractor, "pooled"), Output(extractor, "logits")]
    found = extract_features(batches_of(img), 10, outputs, runtime, batch)
    assert list(found) == outputs
    for output in outputs:
        assert_close(found[output], extractor(img)[output.name])


def test_features_of_several_extractors_read_images_once_and_run_each_once(runtime, monkeypatch):
    img, runs, read = images(10, seed=0), [], []
    forward = TinyExtractor.forward
    monkeypatch.setattr(
        TinyExtractor, "forward", lambda self, x: runs.append(self.name) or forward(self, x)
    )
    first, second = tiny(), OtherExtractor(StrictModel())
    outputs = [Output(first, "pooled"), Output(second, "pooled"), Output(first, "logits")]

    def batches(plan):
        for indices in plan:
            read.extend(indices)
            yield img[list(indices)]

    found = extract_features(batches, 10, outputs, runtime, 5)
    assert read == list(range(10))
    assert sorted(runs) == ["other", "other", "tiny", "tiny"]
    assert_close(found[outputs[1]], found[outputs[0]] * 10)


@pytest.mark.parametrize("batch", [1, 2, 5, 6, 64])
def test_features_of_clips_are_those_of_their_frames_in_order(runtime, monkeypatch, batch):
    img, sizes, forward = images(12, seed=0), [], TinyExtractor.forward
    monkeypatch.setattr(
        TinyExtractor, "forward", lambda self, x: sizes.append(len(x)) or forward(self, x)
    )
    output = Output(tiny(), "pooled")
    clips = batches_of(img.unflatten(0, (4, 3)))
    found = extract_features(clips, 4, [output], runtime, batch, num_frames=3)[output]
    assert max(sizes) <= batch  # a clip that is longer is cut
    assert_close(found, forward(output.extractor, img)["pooled"])


def test_gather_rows_keeps_double_precision(runtime):
    values = torch.tensor([1 / 3, 2 / 3], dtype=torch.float64)
    found = gather_rows([{"double": values, "flag": values > 0.5}], 2, 2, runtime)
    assert torch.equal(found["double"], values) and found["flag"].tolist() == [0, 1]


@pytest.mark.parametrize("batch", [2, 3, 7])
def test_gather_rows_keeps_keys_shapes_and_order(runtime, batch):
    plan = plan_batches(7, batch, 0, 1)
    single, grid = torch.arange(7.0), torch.arange(42.0).view(7, 2, 3)
    rows = ({"single": single[list(p)], "grid": grid[list(p)]} for p in plan)
    found = gather_rows(rows, 7, batch, runtime)
    assert_close(found, {"single": single, "grid": grid})


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


def test_features_output_that_forward_does_not_return_is_named(runtime):
    outputs = [Output(tiny(), "spatial")]
    with pytest.raises(
        PluginContractError, match="'tiny' declares the output 'spatial'.*only logits, pooled"
    ):
        extract_features(batches_of(images(4, 0)), 4, outputs, runtime, 4)


@pytest.mark.parametrize(
    "img", [torch.zeros(2, 1, 8, 8), torch.zeros(2, 5, 8, 8, dtype=torch.uint8)]
)
def test_features_unusable_images_are_refused(runtime, img):
    with pytest.raises(
        MetricError, match="cannot be measured.*must be uint8 .* 1, 3 or 4 channels"
    ):
        extract_features(batches_of(img), 2, [Output(tiny(), "pooled")], runtime, 2)


def test_over_white_mixes_by_alpha_and_keeps_opaque_images():
    rgba = torch.tensor([10, 20, 30, 0], dtype=torch.uint8).view(1, 4, 1, 1)
    assert over_white(rgba).flatten().tolist() == [255, 255, 255]
    rgba[0, 3] = 255
    assert over_white(rgba).flatten().tolist() == [10, 20, 30]
    rgba[0, 3] = 51  # a fifth
    assert over_white(rgba).flatten().tolist() == [206, 208, 210]
    rgb = images(2, 0, channels=3)
    assert over_white(rgb) is rgb


def test_as_bytes_rounds_and_clamps():
    values = torch.tensor([-3.0, -1.0, 0.0, 1.0, 3.0]).view(1, 1, 1, 5)
    assert as_bytes(values, [0], (1, 1, 5)).flatten().tolist() == [0, 0, 128, 255, 255]


def test_as_bytes_another_shape_than_the_reference_is_refused():
    with pytest.raises(
        MetricError, match=r"\[1, 1, 8, 8\] where \[1, 3, 8, 8\].*evaluate.reference"
    ):
        as_bytes(torch.zeros(1, 1, 8, 8), [0], (3, 8, 8))


def test_as_bytes_nan_names_the_seeds():
    with pytest.raises(MetricError, match="NaN.*seeds 5 to 6.*earlier checkpoint"):
        as_bytes(torch.full((2, 1, 8, 8), torch.nan), [5, 6], (1, 8, 8))
