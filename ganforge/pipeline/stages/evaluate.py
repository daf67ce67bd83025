"""The `evaluate` stage: numbers for the newest checkpoint, with their provenance."""

import logging
from pathlib import Path
from typing import Any

from torch import Tensor

from ganforge.config.models import StrictModel
from ganforge.data.shards.index import load_index
from ganforge.data.shards.readable_fields import ReadableFields
from ganforge.errors import DataError
from ganforge.interfaces.architecture import Reads
from ganforge.interfaces.generation import GenerateRequest
from ganforge.interfaces.metric import FeatureMetric, Metric
from ganforge.interfaces.numerics import tf32
from ganforge.interfaces.spec import ImageSpec
from ganforge.interfaces.stage import RunContext, Stage
from ganforge.io.hashing import file_sha256
from ganforge.metrics.checks import PlannedModel, check_evaluation
from ganforge.metrics.evaluation import Keep, evaluate, measure_now
from ganforge.metrics.records import MetricRecord
from ganforge.metrics.requests import MeasuredModel
from ganforge.pipeline.completed import ran_with, remember
from ganforge.pipeline.interrupted import MeasuredParts
from ganforge.pipeline.session import (
    checkpoints_dir,
    reference_location,
    runtime_of,
    shards_location,
)
from ganforge.pipeline.trained_model import load_trained, newest_nimg
from ganforge.registry.plugins import get_registry
from ganforge.training.fields import expected_spec, model_spec, read_once
from ganforge.training.run_view import View, view_of
from ganforge.training.signals import stop_signals
from ganforge.training.state.checkpoint import MANIFEST, directory_name
from ganforge.training.state.run_state import TrainingRun
from ganforge.training.tasks.json_lines import JsonLines
from ganforge.training.tasks.pictures import generate

log = logging.getLogger(__name__)


class Evaluate(Stage[StrictModel]):
    """Measure the newest checkpoint."""

    name = "evaluate"

    def is_done(self, context: RunContext) -> bool:
        """Whether the newest checkpoint has been measured as the pipeline file says."""
        nimg = newest_nimg(context)
        wanted = {metric.name for metric in context.config.evaluate.metrics}
        measured = {r.metric for r in read_records(context.run_dir) if r.nimg == nimg}
        return wanted <= measured and ran_with(context.run_dir, self.name, _settings(context, nimg))

    def check(self, context: RunContext) -> None:
        """Refuse metrics that could not be computed once training has ended."""
        check_metrics(context)

    def plan(self, context: RunContext) -> str:
        """Which metrics and extractors, on how many images."""
        config, registry = context.config.evaluate, get_registry()
        names = []
        for chosen in config.metrics:
            has_features = issubclass(registry.find(Metric, chosen.name), FeatureMetric)
            extractor = chosen.extractor or (config.extractor if has_features else None)
            names.append(chosen.name + ("" if extractor is None else f" ({extractor.name})"))
        return f"measure {', '.join(names) or 'nothing'} on at most {config.num_images} images"

    def run(self, context: RunContext) -> None:
        """Measure on all ranks together."""
        runtime = runtime_of(context)
        model = load_trained(context, runtime.device)
        view = View(
            config=context.config,
            nimg=model.nimg,
            last_log={},
            runtime=runtime,
            architecture=model.architecture,
            networks=lambda: model.networks,
        )
        folder = checkpoints_dir(context) / directory_name(model.nimg)
        weights = file_sha256(folder / MANIFEST)
        settings = {**_settings(context, model.nimg), "checkpoint": weights}
        parts = MeasuredParts(context.run_dir, settings, runtime)
        with stop_signals.together(self.name):
            _measure(context, view, parts.keep)
        parts.forget()


def check_metrics(context: RunContext) -> None:
    """Refuse what could not be measured, as far as the pipeline file and the shards tell.

    Raises:
        GanforgeError: a metric needs what its extractor, the model or the data does not have; the
            number or the size of the images is wrong; the architecture has no truncation.
    """
    config, chosen = context.config, context.components.architecture
    chosen.component.check_request(config.evaluate.truncation, {})
    reads = chosen.component.reads(chosen.config)
    exact = _spec_of_shards(context, reads)
    model = PlannedModel(
        chosen.component.directions,
        is_video="frames" in reads,
        spec=exact or expected_spec(config, reads),
        is_exact=exact is not None,
    )
    runtime, reference = runtime_of(context), reference_location(context)
    check_evaluation(config.evaluate, runtime, model, reference, config.data)


def _spec_of_shards(context: RunContext, reads: Reads) -> ImageSpec | None:
    """What the model will generate; None where the training shards do not exist yet."""
    config, location = context.config, shards_location(context)
    try:
        index = load_index(location)
    except DataError:
        return None
    data = ReadableFields(config.data, index, location)
    if any(name not in data.schemas for name in reads.required):
        return None  # training refuses these data, and says what they lack
    return model_spec(config, data, reads.required)


def evaluate_run(context: RunContext, run: TrainingRun) -> list[MetricRecord]:
    """Measure a run in the middle of training."""
    with tf32(False):
        return _measure(context, view_of(run))


def _measure(context: RunContext, view: View, keep: Keep = measure_now) -> list[MetricRecord]:
    config, runtime, nimg = context.config, view.runtime, view.nimg
    architecture, networks = view.architecture, view.networks()

    def make(request: GenerateRequest) -> Tensor:
        # In float32, as the exported model generates: others can reproduce the number.
        return generate(architecture, networks, request)

    model = MeasuredModel(
        make,
        architecture.spec,
        conditions=architecture.conditions,
        directions=architecture.directions,
        seen_features=architecture.seen_features,
        nimg=nimg,
        num_standing=num_standing(context),
    )
    reference = reference_location(context)
    with read_once(runtime, reference):
        records = evaluate(model, config.evaluate, reference, runtime, data=config.data, keep=keep)
    if runtime.is_main:
        lines = JsonLines(context.run_dir / "metrics.jsonl")
        hooks = get_registry().manager.hook
        for record in records:
            log.info("%s: %.6g", record.label, record.value)
            values = record.model_dump(mode="json")
            lines.append(values)
            view.log({f"metric/{record.label}": record.value})
            hooks.ganforge_metric_computed(run=view, record=values)
        remember(context.run_dir, Evaluate.name, _settings(context, nimg))
    return records


def num_standing(context: RunContext) -> int:
    """Images behind the standing batch statistics; 0 for running ones."""
    config = context.config.train.standing_statistics
    return 0 if config is None else config.batches * config.batch_size


def read_records(run_dir: Path) -> list[MetricRecord]:
    """All records of a run, oldest first."""
    lines = JsonLines(run_dir / "metrics.jsonl").read()
    return [MetricRecord.model_validate(line) for line in lines]


def _settings(context: RunContext, nimg: int | None) -> dict[str, Any]:
    """Everything that the numbers depend on, ready for JSON."""
    config = context.config.evaluate
    settings = config.model_dump(mode="json", exclude={"every_kimg", "batch_size", "cache_dir"})
    # Relative to the run, which may be moved.
    settings["reference"] = reference_location(context).removeprefix(f"{context.run_dir}/")
    return {"nimg": nimg, "num_standing": num_standing(context), **settings}
