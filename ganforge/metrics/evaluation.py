"""Measure a generator: the one function that the evaluate stage and training call."""

import functools
import json
import logging
import math
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganforge import __version__
from ganforge.config.models import DataConfig, EvaluateConfig
from ganforge.errors import MetricError
from ganforge.interfaces.metric import FeatureExtractor, Metric
from ganforge.interfaces.spec import ImageSpec
from ganforge.io.cache import default_cache_dir
from ganforge.metrics.cache import FeatureCache
from ganforge.metrics.features import Extractor, extract_features, generated
from ganforge.metrics.real import RealSet, real_features
from ganforge.metrics.records import MetricRecord
from ganforge.registry.plugins import get_registry
from ganforge.training.runtime import Runtime

log = logging.getLogger(__name__)
_COMPILE_FROM = 1000
"""Images per rank from which half a minute of compilation pays on a CPU."""


def evaluate(
    generate: Callable[[Sequence[int]], Tensor],
    config: EvaluateConfig,
    reference: str,
    runtime: Runtime,
    *,
    nimg: int,
    num_standing: int = 0,
    data: DataConfig,
    ema: bool = True,
    field: str | None = None,
    seen_features: Collection[str] = (),
) -> list[MetricRecord]:
    """Measure a generator on all ranks together.

    Args:
        generate: seeds -> images [n, C, H, W] in [-1, 1]; the same images on every rank.
        config: metrics, extractor, numbers of images, seed.
        reference: folder or URL of the shards of the real images.
        runtime: device and ranks.
        nimg: training progress of the weights, in images.
        num_standing: images behind the generator's standing batch statistics, for the record.
        data: how the reference is read.
        ema: whether the weights are the averaged ones.
        field: image field of the reference. Default: `image`, else `target`.
        seen_features: extractors that the generator was trained against.

    Returns:
        One record per value, the same on every rank and for any number of ranks.

    Raises:
        MetricError: it cannot be measured as asked; raised before images are generated where
            that can be known.
        DataError: the reference cannot be read.
    """
    metrics = _build_metrics(config)
    real = RealSet(data, reference, config.num_real, field)
    for metric in metrics:
        metric.check(config.num_images, len(real) if metric.needs_real else config.num_images)
    extractor = _build_extractor(config, metrics, runtime)
    real_found = _real_found(real, metrics, extractor, config, runtime)
    gen_found = extract_features(
        generated(generate, config.seed, real.shape),
        config.num_images,
        extractor,
        _layers(metrics, extractor),
        runtime,
        config.batch_size,
    )
    seen = extractor.name in seen_features
    state = _State(config, extractor, real, ema, nimg, num_standing, seen)
    records = runtime.on_main(
        lambda: [r for m in metrics for r in _score(m, gen_found, real_found, state)]
    )
    return records


def check_evaluation(
    config: EvaluateConfig, runtime: Runtime, spec: ImageSpec | None = None
) -> None:
    """Refuse what can be known to fail before anything is trained.

    Args:
        config: metrics and extractor.
        runtime: where it will run.
        spec: of the images, if it is known.

    Raises:
        MetricError: too few images, a layer that is missing, weights that cannot be had, images
            of a size that the extractor does not take.
    """
    metrics = _build_metrics(config)
    for metric in metrics:
        metric.check(config.num_images, config.num_real or config.num_images)
    extractor = _build_extractor(config, metrics, runtime)
    if spec is not None and not extractor.compiled:
        blank = torch.zeros(2, min(spec.channels, 3), spec.height, spec.width, dtype=torch.uint8)
        with torch.no_grad():
            extractor(blank.to(runtime.device))


@dataclass(frozen=True)
class _State:
    """What the records of one evaluation have in common."""

    config: EvaluateConfig
    extractor: Extractor
    real: RealSet
    ema: bool
    nimg: int
    num_standing: int
    seen: bool


def _build_metrics(config: EvaluateConfig) -> list[Metric[Any]]:
    registry = get_registry()
    return [
        registry.build(Metric, chosen.name, chosen.options, f"evaluate.metrics[{number}]")
        for number, chosen in enumerate(config.metrics)
    ]


def _build_extractor(
    config: EvaluateConfig, metrics: Sequence[Metric[Any]], runtime: Runtime
) -> Extractor:
    """The extractor on the runtime's device, after checking that it serves every metric."""
    registry, name = get_registry(), config.extractor.name
    component: type[Extractor] = registry.find(FeatureExtractor, name)
    for metric in metrics:
        if metric.name not in component.layers:
            raise MetricError(
                f"The feature extractor '{name}' has no layer for the metric '{metric.name}' "
                f"(evaluate.metrics); it serves {', '.join(sorted(component.layers))}. Leave the "
                f"metric out, or choose another evaluate.extractor."
            )
    options = json.dumps(_extractor_options(config, component, runtime), sort_keys=True)

    def build() -> None:
        _extractor(component, options, runtime.device)

    # Rank 0 first: it may have to download weights, which the others then find in the cache.
    runtime.on_main(build)
    return _extractor(component, options, runtime.device)


# Kept between evaluations during training: loading and compiling Inception takes half a minute.
@functools.lru_cache(maxsize=1)
def _extractor(component: type[Extractor], options: str, device: torch.device) -> Extractor:
    made = get_registry().build(
        FeatureExtractor, component.name, json.loads(options), "evaluate.extractor"
    )
    return made.to(device).eval()


def _extractor_options(
    config: EvaluateConfig, component: type[Extractor], runtime: Runtime
) -> dict[str, Any]:
    """The options in the file, with what the evaluate section implies for those left out."""
    options = config.extractor.options
    known = component.Config.model_fields
    if "cache_dir" in known and config.cache_dir is not None:
        options.setdefault("cache_dir", config.cache_dir)
    if "compile" in known and options.get("compile", "auto") == "auto":
        per_rank = config.num_images // runtime.world_size
        has_compiler = any(shutil.which(name) for name in ("g++", "clang++", "c++"))
        on_cpu = runtime.device.type == "cpu"
        options["compile"] = on_cpu and has_compiler and per_rank >= _COMPILE_FROM
    return options


def _real_found(
    real: RealSet,
    metrics: Sequence[Metric[Any]],
    extractor: Extractor,
    config: EvaluateConfig,
    runtime: Runtime,
) -> dict[str, Tensor]:
    """Features of the real images by layer; none where no metric compares with them."""
    compared = [metric for metric in metrics if metric.needs_real]
    if not compared:
        return {}
    cache = FeatureCache(Path(config.cache_dir) if config.cache_dir else default_cache_dir())
    layers = _layers(compared, extractor)
    return real_features(real, extractor, layers, cache, runtime, config.batch_size)


def _layers(metrics: Sequence[Metric[Any]], extractor: Extractor) -> list[str]:
    return sorted({extractor.layers[metric.name] for metric in metrics})


def _score(
    metric: Metric[Any],
    gen: Mapping[str, Tensor],
    real: Mapping[str, Tensor],
    state: _State,
) -> list[MetricRecord]:
    """The records of one metric. Runs on rank 0, which has the features."""
    config, extractor = state.config, state.extractor
    layer = extractor.layers[metric.name]
    compared = {"generated": gen, "real": real} if metric.needs_real else {"generated": gen}
    for what, features in compared.items():
        if not features[layer].isfinite().all():
            raise MetricError(
                f"Features of {what} images are NaN or infinite in layer '{layer}' of "
                f"'{extractor.name}' (nimg={state.nimg}). Set evaluate.extractor's precision to "
                f"fp32, or measure an earlier checkpoint."
            )
    caveats = tuple(metric.caveats(gen, real, extractor.layers))
    if state.seen:
        caveats += (
            f"the model was trained against features of '{extractor.name}', which flatters it; "
            f"judge it by another extractor",
        )
    for caveat in caveats:
        log.warning("%s: %s.", metric.name, caveat)
    values = metric.compute(gen, real, extractor.layers)
    for name, value in values.items():
        if not math.isfinite(value):
            raise MetricError(
                f"{metric.name} came out as {name}={value} (nimg={state.nimg}, extractor "
                f"'{extractor.name}'): its features are degenerate. Look at the samples, and "
                f"use more images."
            )
    return [
        MetricRecord(
            metric=metric.name,
            name=name,
            value=value,
            lower_is_better=metric.lower_is_better,
            options=metric.config.model_dump(mode="json"),
            n_gen=config.num_images,
            n_real=len(state.real) if metric.needs_real else 0,
            reference=state.real.digest if metric.needs_real else "",
            split=state.real.split if metric.needs_real else "",
            extractor=extractor.name,
            extractor_sha256=extractor.sha256,
            layer=layer,
            resize=extractor.resize,
            precision=extractor.precision,
            compiled=extractor.compiled,
            ema=state.ema,
            truncation=config.truncation,
            seed=config.seed,
            nimg=state.nimg,
            num_standing=state.num_standing,
            caveats=caveats,
            ganforge_version=__version__,
        )
        for name, value in values.items()
    ]
