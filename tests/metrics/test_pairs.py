"""Pair metrics on a tiny deterministic translator, whose numbers are known in closed form."""

import math
import re
from dataclasses import replace

import pytest
import torch
from metrics.tiny import (
    Gap,
    images,
    negative_translator,
    negative_video_translator,
    write_streams,
)

from ganforge.config.models import DataConfig, EvaluateConfig, StrictModel
from ganforge.data.shards.index import load_index
from ganforge.errors import DataError, MetricError, PluginContractError
from ganforge.imaging.images import to_uint8
from ganforge.interfaces.metric import ClipMetric, PairMetric
from ganforge.metrics.clip_scores import DtSsd
from ganforge.metrics.evaluation import evaluate
from ganforge.metrics.pairs import check_paired, measure_pairs
from ganforge.metrics.view import View

# The target of pair i is the negative of its source plus i + 1, of 255.
EXPECTED = sum(20 * math.log10(255 / (i + 1)) for i in range(11)) / 11


class Bias(PairMetric[StrictModel]):
    """Mean difference in bytes, and its root mean square from values of more than one number."""

    name = "bias"

    def compare(self, source, output, target):
        change = (target - output) * 127.5
        return {"each": change.mean((1, 2, 3)), "pixels": change}

    def compute(self, values):
        square = values["pixels"].double().square().mean().sqrt()
        return {"bias": values["each"].double().mean().item(), "rms": square.item()}


def measure(runtime, pairs, *metrics, model=None, **changes):
    options = {"metrics": metrics, "extractor": "tiny", "num_images": 12, "batch_size": 4}
    config = EvaluateConfig(**(options | changes))
    model = model or negative_translator()
    return evaluate(model, config, pairs, runtime, data=DataConfig(workers=0))


def test_pairs_every_direction_is_measured_and_named(runtime, registry, pairs):
    records = measure(runtime, pairs, "psnr")
    assert [record.direction for record in records] == ["source_to_target", "target_to_source"]
    for record in records:
        assert record.value == pytest.approx(EXPECTED, rel=1e-12)
        assert (record.n_gen, record.n_real, record.needs) == (11, 11, "pairs")
        assert record.reference == load_index(pairs).digest
        assert (record.extractor, record.lower_is_better) == ("", False)
    assert [record.split for record in records] == ["main.target", "main.source"]
    assert records[0].comparable_with(records[1]) == ["split", "direction"]


@pytest.mark.parametrize("seed", [0, 1, 7, 12345])
@pytest.mark.parametrize("batch_size", [1, 4, 11, 64])
def test_pairs_neither_seed_nor_batch_size_changes_the_number(
    runtime, registry, pairs, seed, batch_size
):
    (expected, _) = measure(runtime, pairs, "psnr")
    (found, _) = measure(runtime, pairs, "psnr", seed=seed, batch_size=batch_size)
    assert found.value == expected.value


def test_pairs_seed_reaches_the_noise_of_the_translator(runtime, registry, pairs):
    seen = []

    def generate(request):
        seen.extend(request.seeds)
        return -request.source

    model = replace(negative_translator(), generate=generate, directions=("source_to_target",))
    measure(runtime, pairs, "psnr", model=model, seed=100)
    assert seen == list(range(100, 111))


@pytest.mark.parametrize("seed", [0, 7])
def test_pairs_num_real_takes_the_first_whatever_the_seed(runtime, registry, pairs, seed):
    record = measure(runtime, pairs, "psnr", num_real=2, seed=seed)[0]
    assert record.n_real == 2
    assert record.value == pytest.approx((20 * math.log10(255) + 20 * math.log10(255 / 2)) / 2)


def test_pairs_metrics_share_one_translation_and_stand_beside_metrics_of_features(
    runtime, registry, add, pairs, tmp_path
):
    add(Bias)
    calls = []
    model = negative_translator()
    counted = replace(model, generate=lambda r: calls.append(len(r.seeds)) or model.generate(r))
    records = measure(
        runtime, pairs, "psnr", "fid", "bias", model=counted, batch_size=64, cache_dir=str(tmp_path)
    )
    assert calls == [11, 11] * 2  # for fid, of at most 12 images, and for the pairs
    assert [r.label for r in records[:4]] == [
        "fid/source_to_target",
        "psnr/source_to_target",
        "bias/source_to_target",
        "rms/source_to_target",
    ]
    values = {record.label: record.value for record in records}
    assert values["bias/source_to_target"] == pytest.approx(6, abs=1e-4)
    assert values["rms/source_to_target"] == pytest.approx(math.sqrt(506 / 11), abs=1e-4)


class Shapes(PairMetric[StrictModel]):
    """Records what a metric of pairs gets."""

    name = "shapes"
    seen = []

    def compare(self, source, output, target):
        self.seen.append([tuple(img.shape) for img in (source, output, target)])
        return {"shapes": output.flatten(1).mean(1)}


class ClipShapes(Shapes, ClipMetric[StrictModel]):
    """The same of clips."""

    name = "clip_shapes"
    needs = "clips"
    seen = []


def test_pairs_of_clips_are_their_frames_and_clip_metrics_get_whole_clips(
    runtime, registry, add, clips
):
    add(Shapes, ClipShapes)
    options = {"batch_size": 4, "model": negative_video_translator()}
    pairs, whole = measure(runtime, clips, "shapes", "clip_shapes", **options)
    # 5 clips of 3 frames; one clip at a time, as two have more than 4 frames.
    assert Shapes.seen[-5:] == [[(3, 1, 8, 8)] * 3] * 5
    assert ClipShapes.seen[-5:] == [[(1, 3, 1, 8, 8)] * 3] * 5
    assert pairs.value == pytest.approx(whole.value)
    for record in (pairs, whole):
        assert (record.n_gen, record.n_real, record.num_frames) == (5, 5, 3)
        assert record.direction == "source_to_frames"
    assert (pairs.needs, whole.needs) == ("pairs", "clips")


@pytest.mark.parametrize("batch_size", [1, 2, 6, 7, 64])
def test_pairs_of_clips_have_the_psnr_of_all_frames_whatever_the_batch(
    runtime, registry, clips, batch_size
):
    model = negative_video_translator()
    (record,) = measure(runtime, clips, "psnr", model=model, batch_size=batch_size, seed=batch_size)
    # Frame i of all 15 differs from its target by i + 1.
    expected = sum(20 * math.log10(255 / (i + 1)) for i in range(15)) / 15
    assert record.value == pytest.approx(expected, rel=1e-12)


def test_pairs_of_clips_are_counted_by_frame(runtime, registry, tmp_path):
    source = images(6, 1).unflatten(0, (2, 3))
    location = write_streams(tmp_path / "s", {"main": {"source": source, "frames": 255 - source}})
    (record,) = measure(runtime, location, "psnr", model=negative_video_translator())
    assert record.caveats[0].startswith("6 of 6 outputs equal their targets exactly")


def test_pairs_of_a_still_image_and_a_clip_repeat_the_image(runtime, registry, add, tmp_path):
    add(Shapes)
    streams = {"source": images(2, 1), "frames": images(6, 2).unflatten(0, (2, 3))}
    location = write_streams(tmp_path / "s", {"main": streams})
    model = replace(
        negative_video_translator(),
        generate=lambda request: -request.source.unsqueeze(1).expand(-1, 3, -1, -1, -1),
    )
    measure(runtime, location, "shapes", model=model, batch_size=64)
    assert Shapes.seen[-1] == [(6, 1, 8, 8)] * 3


def test_pairs_of_a_bad_sample_are_both_of_the_neighbor(runtime, registry, tmp_path):
    source, target = images(5, seed=3), images(5, seed=4)
    location = write_streams(tmp_path / "s", {"main": {"source": source, "target": target}})
    spoil_png(next((tmp_path / "s").glob("*.tar")), 7)  # source and target in turn: of sample 3
    seen = []

    class Keep(Gap):
        def compare(self, source, output, target):
            seen.extend(to_uint8(torch.stack([source, target], 1)))
            return super().compare(source, output, target)

    config = EvaluateConfig(metrics=(), num_images=2)
    data, model = DataConfig(workers=0, on_bad_sample="skip"), negative_translator()
    view = View.open(model, "source_to_target", config, location, data, runtime.device)
    measure_pairs([Keep(StrictModel())], view, runtime)
    for pair, number in zip(seen, [0, 1, 2, 4, 4], strict=False):
        assert torch.equal(pair, torch.stack([source[number], target[number]]))


def spoil_png(tar, number):
    """Change a byte of one of the PNGs in a tar."""
    content = bytearray(tar.read_bytes())
    places = [found.start() for found in re.finditer(rb"\x89PNG\r\n\x1a\n", content)]
    content[places[number] + 40] ^= 0xFF
    tar.write_bytes(content)


def test_pairs_of_unpaired_data_are_refused_before_generating(runtime, registry, tmp_path):
    streams = {"source": {"source": images(6, 1)}, "target": {"target": images(6, 2)}}
    location = write_streams(tmp_path / "unpaired", streams)
    model = replace(negative_translator(), generate=lambda request: pytest.fail("generated"))
    with pytest.raises(MetricError, match="'psnr' .* is unpaired. Set evaluate.reference to paire"):
        measure(runtime, location, "psnr", model=model)
    # Metrics of features compare sets, so that they need no pairs.
    records = measure(runtime, location, "fid", cache_dir=str(tmp_path / "cache"))
    assert [record.direction for record in records] == ["source_to_target", "target_to_source"]


def test_check_paired_names_the_missing_field(pairs):
    fields = load_index(pairs).fields
    check_paired(Gap(StrictModel()), "source_to_target", fields, pairs)
    with pytest.raises(MetricError, match="has no field 'frames'.*'source' and 'frames'"):
        check_paired(Gap(StrictModel()), "source_to_frames", fields, pairs)


def test_check_paired_refuses_a_clip_metric_of_still_images(pairs, clips):
    check_paired(DtSsd(StrictModel()), "source_to_frames", load_index(clips).fields, clips)
    with pytest.raises(MetricError, match="'dtssd' compares clips, but 'target' .* still images"):
        check_paired(DtSsd(StrictModel()), "source_to_target", load_index(pairs).fields, pairs)


def test_pairs_outputs_of_another_size_are_refused(runtime, registry, pairs):
    model = replace(negative_translator(), generate=lambda request: request.source[..., :4, :4])
    with pytest.raises(MetricError, match=r"\[4, 1, 4, 4\] where \[4, 1, 8, 8\] was expected"):
        measure(runtime, pairs, "psnr", model=model)


def test_pairs_metric_that_does_not_give_one_value_each_is_refused(runtime, registry, add, pairs):
    class Scalar(PairMetric[StrictModel]):
        name = "scalar"

        def compare(self, source, output, target):
            return {"scalar": (output - target).mean()}

    add(Scalar)
    with pytest.raises(PluginContractError, match=r"'scalar' returned scalar of shape \[\] for 4"):
        measure(runtime, pairs, "scalar")


def test_pairs_perfect_translations_have_a_finite_psnr_and_the_record_counts_them(
    runtime, registry, tmp_path
):
    source = images(3, 1)
    location = write_streams(tmp_path / "s", {"main": {"source": source, "target": 255 - source}})
    for record in measure(runtime, location, "psnr"):
        assert record.value == pytest.approx(10 * math.log10(255**2 * 64))
        assert record.caveats == (
            "3 of 3 outputs equal their targets exactly; each counts as 66.2 dB, not as infinite",
        )


def test_pairs_more_than_there_are_is_refused(runtime, registry, pairs):
    with pytest.raises(DataError, match="Set evaluate.num_real to at most 11"):
        measure(runtime, pairs, "psnr", num_real=12)
