"""Refuses what an evaluation would fail at, before images are generated or networks trained."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ganforge.config.models import DataConfig, EvaluateConfig
from ganforge.data.loader import RealImages
from ganforge.data.shards.index import load_index
from ganforge.errors import DataError, MetricError
from ganforge.imaging.images import from_uint8
from ganforge.interfaces.metric import ClipMetric, FeatureMetric, Metric, PairMetric
from ganforge.interfaces.spec import ImageSpec
from ganforge.metrics.choices import build_metrics, join_outputs
from ganforge.metrics.features import Output, check_images, describe_shape, over_white
from ganforge.metrics.pairs import check_paired
from ganforge.metrics.real import RealSet, readable_fields, real_field
from ganforge.metrics.requests import direction_fields
from ganforge.training.runtime import Runtime

Shape = tuple[int, int, int]
"""(C, H, W)."""


@dataclass(frozen=True)
class PlannedModel:
    """A model that is not trained yet.

    Attributes:
        directions: its directions; empty for a generator from noise.
        is_video: whether it generates clips.
        spec: what it will generate; None if not yet known.
        is_exact: whether `spec` is that of existing data, and not a guess from the pipeline file.
    """

    directions: Sequence[str] = ()
    is_video: bool = False
    spec: ImageSpec | None = None
    is_exact: bool = False

    def shape(self, direction: str) -> Shape | None:
        """What it generates in one direction; only the first one leads to `target`."""
        if self.spec is None:
            return None
        channels = self.spec.channels
        if direction and direction != self.directions[0]:
            channels = self.spec.source_channels or channels
        return channels, self.spec.height, self.spec.width


def check_evaluation(
    config: EvaluateConfig,
    runtime: Runtime,
    model: PlannedModel,
    reference: str,
    data: DataConfig,
) -> None:
    """Refuse what can be known to fail before anything is trained.

    `reference` may not exist yet: then only what does not depend on it is checked.

    Raises:
        MetricError: a metric needs what an extractor, the model or the reference does not have;
            too few images; weights that cannot be had; images of a size that the model, an
            extractor or a metric does not take.
        DataError: the reference lacks a field, or has fewer images than `evaluate.num_real`.
    """
    metrics = build_metrics(config, model.directions)
    directions = model.directions or ("",)
    shapes = {direction: model.shape(direction) for direction in directions}
    if _exists(reference):
        check_reference(metrics, model.directions, reference, data)
        for direction in directions if metrics else ():
            real = _open(data, reference, config, direction)
            check_counts(metrics, config.num_images, len(real), real.num_frames)
            channels, height, width = real.shape[-3:]
            found = channels, height, width
            _check_shape(shapes[direction] if model.is_exact else None, found, reference)
            shapes[direction] = found
    elif not model.is_video:  # the frames of clips count too
        check_counts(metrics, config.num_images, config.num_real or config.num_images, 1)
    _check_kinds(metrics, model.directions, data)
    features = join_outputs(metrics, config, runtime)
    for shape in dict.fromkeys(filter(None, shapes.values())):
        _try_extractors(features, shape, runtime)
        _try_pairs(metrics, shape, model.spec, runtime)


def check_counts(
    metrics: Sequence[Metric[Any]], num_gen: int, num_real: int, num_frames: int
) -> None:
    """Refuse too few samples, of `num_frames` each.

    Raises:
        MetricError: says how many there are, and how many a metric needs.
    """
    for metric in metrics:
        frames = 1 if isinstance(metric, ClipMetric) else num_frames
        if isinstance(metric, FeatureMetric):
            metric.check(num_gen * frames, (num_real if metric.needs_real else num_gen) * frames)
        else:
            metric.check(num_real * frames, num_real * frames)


def check_reference(
    metrics: Sequence[Metric[Any]], directions: Sequence[str], reference: str, data: DataConfig
) -> None:
    """Refuse a reference that does not hold what the metrics compare with.

    Raises:
        MetricError: it has no images to compare with, or no pairs.
        DataError: it cannot be read.
    """
    fields = readable_fields(data, load_index(reference), reference)
    for metric in metrics:
        for direction in directions or ("",):
            real_field(fields, reference, direction_fields(direction)[1] or None)
            if isinstance(metric, PairMetric):
                check_paired(metric, direction, fields, reference)


def _exists(reference: str) -> bool:
    try:
        load_index(reference)
    except DataError:
        return False  # to be prepared; a missing one is refused when it is read
    return True


def _open(data: DataConfig, reference: str, config: EvaluateConfig, direction: str) -> RealSet:
    """The real images of a direction, where there are sources to translate as well."""
    source, target = direction_fields(direction)
    if source:
        RealImages(data, reference, field=source)
    return RealSet(data, reference, config.num_real, target or None)


def _check_shape(made: Shape | None, real: Shape, reference: str) -> None:
    if made is not None and made != real:
        raise MetricError(
            f"The model will generate {describe_shape(made)}, but the reference at {reference} has "
            f"{describe_shape(real)}. Prepare evaluate.reference with the size and channels of "
            f"the model."
        )


def _check_kinds(
    metrics: Sequence[Metric[Any]], directions: Sequence[str], data: DataConfig
) -> None:
    """Refuse outputs that the pipeline file declares as label maps."""
    targets = [direction_fields(direction)[1] for direction in directions]
    labels = [
        name for name in targets if name in data.fields and data.fields[name].kind == "labels"
    ]
    if metrics and labels:
        raise MetricError(
            f"The metric '{metrics[0].name}' compares images, but one direction of the model "
            f"generates '{labels[0]}', which are label maps. Leave evaluate.metrics empty: []."
        )


def _try_extractors(
    features: Sequence[tuple[FeatureMetric[Any], Output]], shape: Shape, runtime: Runtime
) -> None:
    blank = _blank(shape, runtime)
    for extractor in dict.fromkeys(output.extractor for _, output in features):
        check_images(blank)
        if not extractor.compiled:
            with torch.no_grad():
                extractor(over_white(blank))


def _try_pairs(
    metrics: Sequence[Metric[Any]], shape: Shape, spec: ImageSpec | None, runtime: Runtime
) -> None:
    img = from_uint8(_blank(shape, runtime))
    channels = None if spec is None else spec.source_channels
    source = img[:, :1].expand(-1, channels or shape[0], -1, -1)
    frames = max(2, 1 if spec is None else spec.num_frames)
    for metric in metrics:
        if isinstance(metric, PairMetric):
            pair = [source, img, img]
            if isinstance(metric, ClipMetric):
                pair = [one[:1, None].expand(-1, frames, -1, -1, -1) for one in pair]
            with torch.no_grad():
                metric.compare(*pair)


def _blank(shape: Shape, runtime: Runtime) -> Tensor:
    """Two images, as metrics get them."""
    return torch.zeros(2, *shape, dtype=torch.uint8, device=runtime.device)
