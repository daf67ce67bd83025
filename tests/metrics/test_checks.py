"""What is refused before anything is trained or generated."""

import pytest
import torch
from metrics.tiny import (
    OtherExtractor,
    TinyExtractor,
    images,
    write_clips,
    write_streams,
)

from ganforge.config.models import DataConfig, EvaluateConfig, StrictModel
from ganforge.errors import DataError, MetricError
from ganforge.interfaces.metric import ClipMetric
from ganforge.interfaces.spec import ImageSpec
from ganforge.metrics import choices
from ganforge.metrics.checks import PlannedModel, check_evaluation

FORWARD, BOTH = ("source_to_target",), ("source_to_target", "target_to_source")


def check(runtime, reference, spec=None, directions=FORWARD, data=None, model=None, **options):
    config = EvaluateConfig(**({"extractor": "tiny", "num_images": 12} | options))
    planned = PlannedModel(directions, spec=spec, **(model or {}))
    check_evaluation(config, runtime, planned, str(reference), data or DataConfig())


def test_check_evaluation_of_shards_that_do_not_exist_yet_checks_the_rest(
    tmp_path, runtime, registry
):
    check(runtime, tmp_path / "none", metrics=("fid", "psnr"))
    with pytest.raises(MetricError, match="needs 'logits'"):
        check(runtime, tmp_path / "none", metrics=("is",), extractor="other")


def test_check_evaluation_counts_images_before_weights_are_read(
    tmp_path, runtime, registry, monkeypatch
):
    monkeypatch.setattr(choices, "_extractor", lambda *a: pytest.fail("an extractor was built"))
    with pytest.raises(MetricError, match="'kid' has 12 generated images"):
        check(runtime, tmp_path / "none", metrics=("fid", "kid"))


def test_check_evaluation_refuses_unpaired_shards(tmp_path, runtime, registry):
    streams = {"a": {"source": images(3, 1)}, "b": {"target": images(4, 2)}}
    with pytest.raises(MetricError, match="is unpaired"):
        check(runtime, write_streams(tmp_path / "unpaired", streams), metrics=("psnr",))


@pytest.mark.parametrize("exists", [True, False])
def test_check_evaluation_tries_every_extractor_on_an_image_of_the_right_size(
    tmp_path, runtime, registry, shards, monkeypatch, exists
):
    """The size is that of the shards where they exist, else that of the pipeline file."""
    seen = []
    for extractor in (TinyExtractor, OtherExtractor):
        monkeypatch.setattr(extractor, "forward", lambda self, x: seen.append((self.name, x.shape)))
    metrics = ("fid", {"name": "fid", "extractor": "other"}, "is")
    reference = shards if exists else tmp_path / "none"
    check(runtime, reference, ImageSpec(4, 6, 3), (), metrics=metrics)
    shape = (2, 1, 8, 8) if exists else (2, 3, 4, 6)
    assert seen == [("tiny", shape), ("other", shape)]


def test_check_evaluation_refuses_a_clip_metric_of_still_images(runtime, registry, pairs, clips):
    check(runtime, clips, directions=("source_to_frames",), metrics=("dtssd", "psnr"))
    with pytest.raises(MetricError, match="'dtssd' compares clips, but 'target'"):
        check(runtime, pairs, metrics=("dtssd",))


def test_check_evaluation_refuses_a_metric_that_fails_on_images_of_this_size(
    tmp_path, runtime, registry, pairs
):
    options = {"metrics": ({"name": "ssim", "gaussian_weights": True},)}
    with pytest.raises(MetricError, match="windows of 11x11 pixels, but the images are 8x8"):
        check(runtime, pairs, **options)
    with pytest.raises(MetricError, match="windows of 11x11 pixels, but the images are 9x20"):
        check(runtime, tmp_path / "none", ImageSpec(9, 20), **options)
    check(runtime, tmp_path / "none", ImageSpec(16, 20), **options)


def test_check_evaluation_refuses_images_that_no_extractor_takes(tmp_path, runtime, registry):
    location = write_streams(tmp_path / "s", {"main": {"image": images(3, 1, channels=1)}})
    check(runtime, location, directions=(), metrics=("fid",))
    spec = ImageSpec(8, 8, 5)
    with pytest.raises(MetricError, match=r"\[2, 5, 8, 8\].*cannot be measured"):
        check(runtime, tmp_path / "none", spec, directions=(), metrics=("fid",))


@pytest.mark.parametrize(
    ("spec", "fault"),
    [
        (
            ImageSpec(16, 8, 1),
            "will generate 1 channels of 16x8 pixels, but the reference at .* 8x8",
        ),
        (ImageSpec(8, 8, 3), "will generate 3 channels of 8x8 pixels"),
        (ImageSpec(8, 8, 1, source_channels=3), "will generate 3 channels of 8x8 pixels"),
    ],
)
def test_check_evaluation_refuses_a_reference_unlike_the_model(
    runtime, registry, pairs, spec, fault
):
    with pytest.raises(MetricError, match=fault):
        check(runtime, pairs, spec, BOTH, model={"is_exact": True}, metrics=("fid",))
    check(runtime, pairs, spec, BOTH, metrics=("fid",))  # a guess refuses nothing


def test_check_evaluation_sees_the_crops_of_a_reference(runtime, registry, pairs):
    data = DataConfig(resolution=(4, 6), crop={"from": 8})
    model = {"is_exact": True}
    check(runtime, pairs, ImageSpec(4, 6, 1), data=data, model=model, metrics=("fid",))
    with pytest.raises(MetricError, match="1 channels of 8x8 pixels, but .* 1 channels of 4x6"):
        check(runtime, pairs, ImageSpec(8, 8, 1), data=data, model=model, metrics=("fid",))


def test_check_evaluation_refuses_more_real_images_than_there_are(runtime, registry, pairs):
    with pytest.raises(DataError, match="Set evaluate.num_real to at most 11"):
        check(runtime, pairs, metrics=("psnr",), num_real=12)


@pytest.mark.parametrize("direction", ["source_to_frames", "other_to_target"])
def test_check_evaluation_refuses_a_direction_that_the_reference_lacks(
    runtime, registry, pairs, direction
):
    with pytest.raises(DataError, match="is needed, but the data set"):
        check(runtime, pairs, directions=(direction,), metrics=("fid",))


def test_check_evaluation_refuses_label_maps_as_outputs_before_data_are_prepared(
    tmp_path, runtime, registry
):
    data = DataConfig(fields={"source": {"kind": "labels"}})
    check(runtime, tmp_path / "none", data=data, metrics=("fid",))
    with pytest.raises(
        MetricError, match="'fid' compares images, but .* 'source', which are label"
    ):
        check(runtime, tmp_path / "none", directions=BOTH, data=data, metrics=("fid",))
    check(runtime, tmp_path / "none", directions=BOTH, data=data, metrics=())


def test_check_evaluation_refuses_label_maps_of_the_reference(tmp_path, runtime, registry):
    streams = {"main": {"source": images(3, 1), "target": images(3, 2)}}
    location = write_streams(tmp_path / "s", streams, kinds={"source": "labels"})
    check(runtime, location, metrics=("fid", "psnr"))
    with pytest.raises(MetricError, match="'source' of .* holds labels, but metrics compare ima"):
        check(runtime, location, directions=BOTH, metrics=("fid",))


def test_check_evaluation_counts_the_frames_of_clips(tmp_path, runtime, registry):
    video = {"directions": ("source_to_frames",), "model": {"is_video": True}, "num_images": 5}
    kid = {"name": "kid", "subset_size": 15}
    location = write_clips(tmp_path / "clips", count=5, num_frames=3)
    check(runtime, location, metrics=(kid,), **video)
    with pytest.raises(MetricError, match="'kid' has 15 generated images and needs at least 16"):
        check(runtime, location, metrics=({**kid, "subset_size": 16},), **video)
    # Nobody knows how many frames clips will have that are not prepared.
    check(runtime, tmp_path / "none", metrics=(kid,), **video)


class Lengths(ClipMetric[StrictModel]):
    """Notes how many frames clips have."""

    name, seen = "lengths", []

    def compare(self, source, output, target):
        self.seen.append((source.shape[1], output.shape[1]))
        return {"lengths": torch.zeros(len(output))}


def test_check_evaluation_tries_clip_metrics_on_clips_of_the_models_length(tmp_path, runtime, add):
    add(Lengths)
    spec = ImageSpec(16, 16, source_channels=1, num_frames=7)
    video = {"directions": ("source_to_frames",), "model": {"is_video": True}}
    check(runtime, tmp_path / "none", spec=spec, metrics=("lengths",), **video)
    assert Lengths.seen == [(7, 7)]


def test_check_evaluation_without_metrics_needs_no_reference(tmp_path, runtime, registry, pairs):
    for location in (tmp_path / "none", pairs):
        check(runtime, location, directions=("a_to_b",), metrics=())
