"""The `evaluate` stage: numbers for the newest checkpoint, with their provenance."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ganforge.batch import GenerateRequest, ImageSpec
from ganforge.components import Architecture, RunContext, Stage
from ganforge.config import StrictModel
from ganforge.data.embed import check_embeddings
from ganforge.data.index import load_index
from ganforge.data.loader import RealImages
from ganforge.images import from_uint8
from ganforge.metrics import MetricRecord
from ganforge.metrics.evaluation import check_evaluation, evaluate
from ganforge.stages.asked import is_as_asked, remember
from ganforge.stages.load import load_trained, newest_nimg
from ganforge.stages.session import runtime_of, shards_location
from ganforge.training.logs import JsonLines
from ganforge.training.run_state import TrainingRun
from ganforge.training.runtime import Runtime
from ganforge.training.samples import CONDITIONS, generate, run_networks

log = logging.getLogger(__name__)


class Evaluate(Stage[StrictModel]):
    """Measure the newest checkpoint."""

    name = "evaluate"

    def is_done(self, context: RunContext) -> bool:
        """Whether the newest checkpoint has been measured as the pipeline file asks."""
        nimg = newest_nimg(context)
        wanted = {metric.name for metric in context.config.evaluate.metrics}
        measured = {
            record.metric for record in read_records(context.run_dir) if record.nimg == nimg
        }
        return wanted <= measured and is_as_asked(context.run_dir, self.name, _asked(context, nimg))

    def check(self, context: RunContext) -> None:
        """Refuse metrics that could not be computed after all the training."""
        check_evaluation(context.config.evaluate, runtime_of(context))

    def plan(self, context: RunContext) -> str:
        """Which metrics, on how many images."""
        config = context.config.evaluate
        names = ", ".join(metric.name for metric in config.metrics)
        return f"measure {names} on {config.num_images} images with {config.extractor.name}"

    def run(self, context: RunContext) -> None:
        """Measure on all ranks together."""
        runtime = runtime_of(context)
        model = load_trained(context, runtime.device)
        _measure(context, runtime, model.architecture, model.networks, model.spec, model.nimg)


def evaluate_run(context: RunContext, run: TrainingRun) -> list[MetricRecord]:
    """Measure a run in the middle of training."""
    return _measure(
        context,
        run.runtime,
        run.architecture,
        run_networks(run),
        run.spec,
        run.progress.nimg,
    )


def _measure(
    context: RunContext,
    runtime: Runtime,
    architecture: Architecture[Any],
    networks: Mapping[str, nn.Module],
    spec: ImageSpec,
    nimg: int,
) -> list[MetricRecord]:
    config = context.config
    reference = config.evaluate.reference or shards_location(context)
    make = image_maker(context, runtime, architecture, networks, spec, reference)
    records = evaluate(
        make,
        config.evaluate,
        reference,
        runtime,
        nimg=nimg,
        data=config.data,
        seen_features=architecture.seen_features,
        num_standing=num_standing(context),
    )
    if runtime.is_main:
        lines = JsonLines(context.run_dir / "metrics.jsonl")
        for record in records:
            lines.append(record.model_dump(mode="json"))
            if runtime.accelerator.trackers:
                runtime.accelerator.log({f"metric/{record.name}": record.value}, step=nimg)
        remember(context.run_dir, Evaluate.name, _asked(context, nimg))
    return records


def image_maker(
    context: RunContext,
    runtime: Runtime,
    architecture: Architecture[Any],
    networks: Mapping[str, nn.Module],
    spec: ImageSpec,
    reference: str,
) -> Callable[[Sequence[int]], Tensor]:
    """The function that metrics call: seeds -> images [n, C, H, W] in [-1, 1].

    Classes are drawn as often as the reference has them. A translator is measured in its first
    direction, on the reference's source images in turn; a model of attributes or captions draws
    the reference's, in turn too.
    """
    truncation = context.config.evaluate.truncation
    direction = architecture.translates[0] if architecture.translates else None
    sizes = {"attributes": len(spec.attribute_names), "text": spec.text_dim}
    conditions = [name for name in CONDITIONS if sizes[name]]
    counts = _class_counts(spec, reference)
    sources = None
    if direction is not None or conditions:
        field = direction.split("_to_")[0] if direction else "image"
        sources = RealImages(context.config.data, reference, field=field)
        check_embeddings(sources.index, spec, reference)

    def make(seeds: Sequence[int]) -> Tensor:
        request = GenerateRequest(seeds, runtime.device, truncation=truncation)
        if spec.num_classes:
            request.label = request.random_label(spec.num_classes, counts)
        if sources is not None:
            numbers = [seed % len(sources) for seed in seeds]
            for name in conditions:
                setattr(request, name, sources.vectors(numbers, name).to(runtime.device))
            if direction is not None:
                request.source = from_uint8(sources.batch(numbers)).to(runtime.device)
                request.options = {"direction": direction}
        with runtime.autocast():
            return generate(architecture, networks, spec, request)

    return make


def _class_counts(spec: ImageSpec, reference: str) -> tuple[int, ...]:
    """How often the reference has each class of the model; empty where it does not tell."""
    if not spec.num_classes:
        return ()
    index = load_index(reference)
    is_told = index.image_spec.class_names == spec.class_names and any(index.class_counts)
    return index.class_counts if is_told else ()


def num_standing(context: RunContext) -> int:
    """Images behind the batch statistics that the pipeline file asks for; 0 for running ones."""
    config = context.config.train.standing_statistics
    return 0 if config is None else config.batches * config.batch_size


def read_records(run_dir: Path) -> list[MetricRecord]:
    """All records of a run, oldest first; none when nothing was measured."""
    return [
        MetricRecord.model_validate(record)
        for record in JsonLines(run_dir / "metrics.jsonl").read()
    ]


def _asked(context: RunContext, nimg: int | None) -> dict[str, Any]:
    """All that the numbers depend on, ready for JSON."""
    config = context.config.evaluate
    asked = config.model_dump(mode="json", exclude={"every_kimg", "batch_size", "cache_dir"})
    return {"nimg": nimg, "num_standing": num_standing(context), **asked}
