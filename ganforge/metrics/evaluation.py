"""Measure a generator: the one function that the evaluate stage and the command line call."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ganforge.config.models import DataConfig, EvaluateConfig
from ganforge.data.shards.index import load_index
from ganforge.errors import DataError
from ganforge.interfaces.spec import ImageSpec
from ganforge.io.cache import default_cache_dir
from ganforge.metrics.cache import FeatureCache
from ganforge.metrics.choices import Choices, choose
from ganforge.metrics.features import Output, as_bytes, extract_features
from ganforge.metrics.pairs import Values, check_paired, measure_pairs
from ganforge.metrics.real import RealSet, real_features
from ganforge.metrics.records import MetricRecord
from ganforge.metrics.requests import MeasuredModel, Requests, direction_fields
from ganforge.metrics.scoring import View, score_features, score_pairs
from ganforge.registry.plugins import get_registry
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

    Args:
        model: how it generates, and what the records say of it.
        config: metrics, extractors, numbers of images, seed.
        reference: folder or URL of the shards of the real images.
        runtime: device and ranks.
        data: how the reference is read.

    Returns:
        One record per value, the same on every rank and for any number of ranks.

    Raises:
        MetricError: a metric cannot be computed; raised before images are generated where that
            can be known.
        DataError: the reference cannot be read.
    """
    views = [
        View(
            model,
            config,
            direction,
            RealSet(data, reference, config.num_real, direction_fields(direction)[1] or None),
            Requests(model, direction, config, reference, data, runtime.device),
        )
        for direction in model.translates or ("",)
    ]
    choices = choose(config, model.translates, runtime)
    _check_paired(choices, model.translates, reference)
    for view in views:
        _check_counts(choices, config.num_images, len(view.real))
    records = [record for view in views for record in _measure(view, choices, runtime)]
    if runtime.is_main:
        _announce(records)
    return records


def check_evaluation(
    config: EvaluateConfig,
    runtime: Runtime,
    translates: Sequence[str],
    reference: str,
    spec: ImageSpec | None = None,
) -> None:
    """Refuse what can be known to fail before anything is trained.

    Args:
        config: metrics and extractors.
        runtime: where it will run.
        translates: directions of the model; empty for a generator from noise.
        reference: folder or URL of the shards of the real images, which may not exist yet.
        spec: of the images, where it is known without the shards.

    Raises:
        MetricError: a metric needs what an extractor, the model or the reference does not have;
            too few images; weights that cannot be had; images of a size that an extractor does
            not take.
    """
    choices = choose(config, translates, runtime)
    _check_counts(choices, config.num_images, config.num_real or config.num_images)
    with contextlib.suppress(DataError):  # a missing reference is refused when it is read
        spec = spec or load_index(reference).image_spec
        _check_paired(choices, translates, reference)
    if spec is None:
        return
    blank = torch.zeros(2, min(spec.channels, 3), spec.height, spec.width, dtype=torch.uint8)
    for extractor in dict.fromkeys(output.extractor for _, output in choices.features):
        if not extractor.compiled:
            with torch.no_grad():
                extractor(blank.to(runtime.device))


def _check_counts(choices: Choices, num_gen: int, num_real: int) -> None:
    for metric, _ in choices.features:
        metric.check(num_gen, num_real if metric.needs_real else num_gen)
    for pair_metric in choices.pairs:
        pair_metric.check(num_real, num_real)


def _check_paired(choices: Choices, translates: Sequence[str], reference: str) -> None:
    for metric in choices.pairs:
        for direction in translates:
            check_paired(metric, direction, load_index(reference), reference)


def _measure(view: View, choices: Choices, runtime: Runtime) -> list[MetricRecord]:
    """The records of one direction."""
    gen, real = _features(view, choices, runtime)
    pairs = _pairs(view, choices, runtime)

    def score() -> list[MetricRecord]:
        records = [
            record
            for metric, output in choices.features
            for record in score_features(metric, output, gen[output], real.get(output), view)
        ]
        for metric, values in zip(choices.pairs, pairs, strict=True):
            records += score_pairs(metric, values, view)
        return records

    return runtime.on_main(score)


def _features(
    view: View, choices: Choices, runtime: Runtime
) -> tuple[dict[Output, Tensor], dict[Output, Tensor]]:
    """Features of the generated and of the real images, on rank 0."""
    config = view.config
    outputs = dict.fromkeys(output for _, output in choices.features)
    if not outputs:
        return {}, {}
    compared = dict.fromkeys(output for m, output in choices.features if m.needs_real)
    folder = Path(config.cache_dir) if config.cache_dir else default_cache_dir()
    real = real_features(
        view.real, list(compared), FeatureCache(folder), runtime, config.batch_size
    )

    def generated(plan: Sequence[range]) -> Iterator[Tensor]:
        for indices in plan:
            request = view.requests(indices)
            yield as_bytes(view.model.generate(request), request.seeds, view.real.shape)

    gen = extract_features(generated, config.num_images, list(outputs), runtime, config.batch_size)
    return gen, real


def _pairs(view: View, choices: Choices, runtime: Runtime) -> list[Values]:
    """What the pair metrics say of each pair, on rank 0."""
    if not choices.pairs:
        return []
    return measure_pairs(
        choices.pairs, view.model, view.requests, view.real, runtime, view.config.batch_size
    )


def _announce(records: Sequence[MetricRecord]) -> None:
    hook = get_registry().manager.hook
    for record in records:
        hook.ganforge_metric_computed(record=record.model_dump(mode="json"))
