"""Measure a generator: the one function that the evaluate stage and the command line call."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ganforge.config.choices import ComponentChoice
from ganforge.config.models import DataConfig, EvaluateConfig
from ganforge.data.shards.index import load_index
from ganforge.interfaces.metric import CycleMetric, FeatureMetric, PairMetric
from ganforge.interfaces.spec import ImageSpec
from ganforge.io.cache import default_cache_dir
from ganforge.metrics.cache import FeatureCache
from ganforge.metrics.checks import check_counts, check_reference
from ganforge.metrics.choices import build_metrics, join_outputs
from ganforge.metrics.cycles import measure_cycles
from ganforge.metrics.features import Output, extract_features
from ganforge.metrics.pairs import measure_pairs
from ganforge.metrics.real import real_features
from ganforge.metrics.records import MetricRecord
from ganforge.metrics.requests import MeasuredModel
from ganforge.metrics.scoring import score_cycles, score_features, score_pairs
from ganforge.metrics.view import View
from ganforge.training.runtime import Runtime

Measure = Callable[[], list[MetricRecord]]
Keep = Callable[[str, Measure], list[MetricRecord]]
"""(name of a part, its measurement) -> its records, measured now or before."""


def measure_now(name: str, measure: Measure) -> list[MetricRecord]:
    """Keep nothing: measure each part."""
    return measure()


def evaluate(
    model: MeasuredModel,
    config: EvaluateConfig,
    reference: str,
    runtime: Runtime,
    *,
    data: DataConfig,
    keep: Keep = measure_now,
) -> list[MetricRecord]:
    """Measure a generator, in every direction if it translates, on all ranks together.

    `reference` is the folder or URL of the shards of the real images; `data` says how to read it;
    `keep` may know parts that were measured before an interruption.

    Returns:
        One record per value, the same on every rank and for any number of ranks.

    Raises:
        MetricError: a metric cannot be computed; raised before images are generated where that
            can be known.
        DataError: the reference cannot be read.
    """
    metrics = build_metrics(config, model.directions)
    data = _with_derivation(data, model.spec, reference)
    check_reference(metrics, model.directions, reference, data)
    views = [
        View.open(model, direction, config, reference, data, runtime.device)
        for direction in model.directions or ("",)
    ]
    for view in views:
        check_counts(metrics, view.num_gen, len(view.real), view.real.num_frames)
    features = join_outputs(metrics, config, runtime)
    pairs = [metric for metric in metrics if isinstance(metric, PairMetric)]
    cycles = [metric for metric in metrics if isinstance(metric, CycleMetric)]
    records = []
    for view in views:
        parts: dict[str, Measure] = {
            "features": functools.partial(_measure_features, view, features, runtime),
            "pairs": functools.partial(_measure_pairs, view, pairs, runtime),
            "cycles": functools.partial(_measure_cycles, view, cycles, runtime),
        }
        for name, measure in parts.items():
            records += keep(f"{name} {view.direction}".strip(), measure)
    return records


def _with_derivation(data: DataConfig, spec: ImageSpec, reference: str) -> DataConfig:
    """How to read images whose sources are made as the model's training made them."""
    derived = spec.derived
    if derived is None or data.derive is not None or "source" in load_index(reference).fields:
        return data
    choice = ComponentChoice(name=derived.name, **derived.options)
    return data.model_copy(update={"derive": choice})


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
    gen = extract_features(
        view.generate, view.num_gen, outputs, runtime, batch_size, view.real.num_frames
    )
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
    """The records of the metrics of pairs of images or clips, in one direction."""
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


def _measure_cycles(
    view: View, metrics: Sequence[CycleMetric[Any]], runtime: Runtime
) -> list[MetricRecord]:
    """The records of the metrics of images that were translated and back."""
    if not metrics:
        return []
    values = measure_cycles(metrics, view, runtime)
    return runtime.on_main(
        lambda: [
            record
            for metric, one in zip(metrics, values, strict=True)
            for record in score_cycles(metric, one, view)
        ]
    )
