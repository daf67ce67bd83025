"""The metrics of an evaluate section, each joined with the extractor output that it needs."""

import functools
import shutil
from collections.abc import Sequence
from typing import Any

import torch

from ganforge.config.choices import ComponentChoice
from ganforge.config.models import EvaluateConfig
from ganforge.errors import MetricError, PluginContractError
from ganforge.interfaces.metric import (
    CycleMetric,
    FeatureExtractor,
    FeatureMetric,
    Metric,
    PairMetric,
)
from ganforge.metrics.features import Extractor, Output
from ganforge.registry.plugins import get_registry
from ganforge.training.runtime import Runtime

_COMPILE_FROM = 1000
"""Images per rank from which half a minute of compilation pays on a CPU."""


def build_metrics(config: EvaluateConfig, directions: Sequence[str]) -> list[Metric[Any]]:
    """Build the metrics, in the order of the file, if their needs can be met; loads no weights.

    `directions` are those of the model; it has none if it generates from noise.

    Raises:
        MetricError: a metric needs what its extractor or the model does not have.
        PluginNotFound: there is no such metric or extractor.
        ConfigError: an option is wrong.
        PluginContractError: a metric is of none of the kinds in `interfaces.metric`.
    """
    metrics = []
    for number, chosen in enumerate(config.metrics):
        where = f"evaluate.metrics[{number}]"
        metric = get_registry().build(Metric, chosen.name, chosen.options, where)
        _check_needs(metric, chosen.extractor, config.extractor, directions, where)
        metrics.append(metric)
    return metrics


def join_outputs(
    metrics: Sequence[Metric[Any]], config: EvaluateConfig, runtime: Runtime
) -> list[tuple[FeatureMetric[Any], Output]]:
    """Each metric of features, from `build_metrics`, with the extractor output that it needs.

    Raises:
        MetricError: the weights of an extractor cannot be had.
        ConfigError: an option of an extractor is wrong.
    """
    return [
        (metric, Output(_build_extractor(number, config, runtime), metric.needs))
        for number, metric in enumerate(metrics)
        if isinstance(metric, FeatureMetric)
    ]


def _check_needs(
    metric: Metric[Any],
    own: ComponentChoice | None,
    default: ComponentChoice,
    directions: Sequence[str],
    where: str,
) -> None:
    if isinstance(metric, FeatureMetric):
        _check_output(metric, (own or default).name, where)
    elif not isinstance(metric, PairMetric | CycleMetric):
        raise PluginContractError(
            f"{where}: the metric '{metric.name}' is a subclass of Metric alone. Derive it from "
            f"FeatureMetric, PairMetric, ClipMetric or CycleMetric."
        )
    elif own is not None:
        raise MetricError(
            f"{where}.extractor: the metric '{metric.name}' compares pixels and uses no "
            f"extractor. Remove the option."
        )
    elif not directions:
        raise MetricError(
            f"{where}: the metric '{metric.name}' measures translations, but the model generates "
            f"from noise. Leave it out, or choose an architecture that translates."
        )
    elif isinstance(metric, CycleMetric) and len(directions) < 2:
        raise MetricError(
            f"{where}: the metric '{metric.name}' translates there and back, but the model has the "
            f"direction {directions[0]} only. Leave it out, or choose an architecture with two."
        )


def _check_output(metric: FeatureMetric[Any], extractor: str, where: str) -> None:
    registry = get_registry()
    outputs = registry.find(FeatureExtractor, extractor).outputs
    if metric.needs in outputs:
        return
    names = registry.names(FeatureExtractor)
    fit = [n for n in names if metric.needs in registry.find(FeatureExtractor, n).outputs]
    choices = f"one of {', '.join(fit)}" if fit else "an extractor with that output (none is known)"
    raise MetricError(
        f"{where}: the metric '{metric.name}' needs '{metric.needs}', but the feature extractor "
        f"'{extractor}' has only {', '.join(outputs)}. Set {where}.extractor to {choices}, or "
        f"leave the metric out."
    )


def _build_extractor(number: int, config: EvaluateConfig, runtime: Runtime) -> Extractor:
    """The extractor of a metric, in eval mode on the runtime's device."""
    chosen, where = config.metrics[number].extractor, f"evaluate.metrics[{number}].extractor"
    if chosen is None:
        chosen, where = config.extractor, "evaluate.extractor"
    component: type[Extractor] = get_registry().find(FeatureExtractor, chosen.name)
    options = _extractor_options(chosen, component, config, runtime)
    _, checked = get_registry().configure(FeatureExtractor, chosen.name, options, where)

    def build() -> None:
        _extractor(component, checked.model_dump_json(), runtime.device)

    # Rank 0 first: it may have to download weights, which the others then find in the cache.
    runtime.on_main(build)
    return _extractor(component, checked.model_dump_json(), runtime.device)


# Kept between evaluations during training: loading and compiling Inception takes half a minute.
@functools.lru_cache(maxsize=4)
def _extractor(component: type[Extractor], options: str, device: torch.device) -> Extractor:
    made = component(component.Config.model_validate_json(options))
    return made.to(device).eval()


def _extractor_options(
    chosen: ComponentChoice, component: type[Extractor], config: EvaluateConfig, runtime: Runtime
) -> dict[str, Any]:
    """The options in the file, with what the evaluate section implies for those left out."""
    options = chosen.options
    known = component.Config.model_fields
    if "cache_dir" in known and config.cache_dir is not None:
        options.setdefault("cache_dir", config.cache_dir)
    if "compile" in known and options.get("compile", "auto") == "auto":
        per_rank = config.num_images // runtime.world_size
        has_compiler = any(shutil.which(name) for name in ("g++", "clang++", "c++"))
        on_cpu = runtime.device.type == "cpu"
        options["compile"] = on_cpu and has_compiler and per_rank >= _COMPILE_FROM
    return options
