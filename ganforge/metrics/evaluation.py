"""Measure a generator: the one function that the evaluate stage and the command line call."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ganforge.config.models import DataConfig, EvaluateConfig
from ganforge.data.shards.index import DatasetIndex, load_index
from ganforge.errors import DataError
from ganforge.interfaces.metric import FeatureMetric, Metric, PairMetric
from ganforge.interfaces.spec import ImageSpec
from ganforge.io.cache import default_cache_dir
from ganforge.metrics.cache import FeatureCache
from ganforge.metrics.choices import build_metrics, join_outputs
from ganforge.metrics.features import Output, extract_features
from ganforge.metrics.pairs import check_paired, measure_pairs
from ganforge.metrics.real import real_features, real_field
from ganforge.metrics.records import MetricRecord
from ganforge.metrics.requests import MeasuredModel, direction_fields
from ganforge.metrics.scoring import score_features, score_pairs
from ganforge.metrics.view import View
from ganforge.training.runtime import Runtime


def evaluate(
    model: MeasuredModel,
    config: EvaluateConfig,
    reference: str,
    runtime: Runtime,
    *,
    data: DataConfig,
) -> list[MetricRecord]:
    """Measure a generator, in every direction if it translates, on all ranks together.

    `reference` is the folder or URL of the shards of the real images; `data` says how to read it.

    Returns:
        One record per value, the same on every rank and for any number of ranks.

    Raises:
        MetricError: a metric cannot be computed; raised before images are generated where that
            can be known.
        DataError: the reference cannot be read.
    """
    views = [
        View.open(model, direction, config, reference, data, runtime.device)
        for direction in model.directions or ("",)
    ]
    metrics = build_metrics(config, model.directions)
    _check_data(metrics, model.directions, load_index(reference), reference)
    for view in views:
        _check_counts(metrics, config.num_images, len(view.real))
    features = join_outputs(metrics, config, runtime)
    pairs = [metric for metric in metrics if isinstance(metric, PairMetric)]
    records = []
    for view in views:
        records += _measure_features(view, features, runtime)
        records += _measure_pairs(view, pairs, runtime)
    return records


def check_evaluation(
    config: EvaluateConfig,
    runtime: Runtime,
    directions: Sequence[str],
    reference: str,
    spec: ImageSpec | None = None,
) -> None:
    """Refuse what can be known to fail before anything is trained.

    `reference` may not exist yet; `spec` is that of the images if it is known without the shards.

    Raises:
        MetricError: a metric needs what an extractor, the model or the reference does not have;
            too few images; weights that cannot be had; images of a size that an extractor does
            not take.
    """
    metrics = build_metrics(config, directions)
    _check_counts(metrics, config.num_images, config.num_real or config.num_images)
    with contextlib.suppress(DataError):  # a missing reference is refused when it is read
        spec = spec or load_index(reference).image_spec
        _check_data(metrics, directions, load_index(reference), reference)
    features = join_outputs(metrics, config, runtime)
    if spec is None:
        return
    blank = torch.zeros(2, min(spec.channels, 3), spec.height, spec.width, dtype=torch.uint8)
    for extractor in dict.fromkeys(output.extractor for _, output in features):
        if not extractor.compiled:
            with torch.no_grad():
                extractor(blank.to(runtime.device))


def _check_counts(metrics: Sequence[Metric[Any]], num_gen: int, num_real: int) -> None:
    for metric in metrics:
        if isinstance(metric, FeatureMetric):
            metric.check(num_gen, num_real if metric.needs_real else num_gen)
        else:
            metric.check(num_real, num_real)


def _check_data(
    metrics: Sequence[Metric[Any]], directions: Sequence[str], index: DatasetIndex, reference: str
) -> None:
    for metric in metrics:
        for direction in directions or ("",):
            real_field(index, reference, direction_fields(direction)[1] or None)
            if isinstance(metric, PairMetric):
                check_paired(metric, direction, index, reference)


def _measure_features(
    view: View, features: Sequence[tuple[FeatureMetric[Any], Output]], runtime: Runtime
) -> list[MetricRecord]:
    """The records of the metrics of features, in one direction."""
    if not features:
        return []
    config, batch_size = view.config, view.config.batch_size
    compared = dict.fromkeys(output for metric, output in features if metric.needs_real)
    cache = FeatureCache(Path(config.cache_dir) if config.cache_dir else default_cache_dir())
    real = real_features(view.real, list(compared), cache, runtime, batch_size)
    outputs = list(dict.fromkeys(output for _, output in features))
    gen = extract_features(view.generate, config.num_images, outputs, runtime, batch_size)
    return runtime.on_main(
        lambda: [
            record
            for metric, output in features
            for record in score_features(metric, output, gen[output], real.get(output), view)
        ]
    )


def _measure_pairs(
    view: View, metrics: Sequence[PairMetric[Any]], runtime: Runtime
) -> list[MetricRecord]:
    """The records of the metrics of image pairs, in one direction."""
    if not metrics:
        return []
    values = measure_pairs(metrics, view, runtime)
    return runtime.on_main(
        lambda: [
            record
            for metric, one in zip(metrics, values, strict=True)
            for record in score_pairs(metric, one, view)
        ]
    )
