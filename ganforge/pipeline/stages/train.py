"""The `train` stage: from shards to checkpoints."""

import contextlib
import functools
import logging
from pathlib import Path
from typing import Any

import torch

from ganforge.config.models import StrictModel
from ganforge.data.shards.index import load_index
from ganforge.data.shards.readable_fields import ReadableFields
from ganforge.errors import DataError, RunStopped
from ganforge.imaging.images import image_grid
from ganforge.imaging.save import write_png
from ganforge.imaging.showable import showable
from ganforge.interfaces.architecture import Architecture
from ganforge.interfaces.batch import Batch
from ganforge.interfaces.numerics import cudnn_benchmark, tf32
from ganforge.interfaces.stage import RunContext, Stage
from ganforge.pipeline.init_source import read_source
from ganforge.pipeline.session import (
    checkpoints_dir,
    runtime_of,
    shards_location,
    validation_location,
)
from ganforge.pipeline.stages.evaluate import check_metrics, evaluate_run
from ganforge.registry.plugins import get_registry
from ganforge.training.build import build_run
from ganforge.training.engine.loop import Task, train
from ganforge.training.engine.meter import Meter
from ganforge.training.fields import (
    check_encoder,
    choose_fields,
    expected_spec,
    make_loader,
    model_spec,
    read_once,
)
from ganforge.training.preflight import check_labels, check_trainable, choose_slots, warn_of_doubts
from ganforge.training.run_view import view_of
from ganforge.training.signals import stop_signals
from ganforge.training.state import checkpoint as checkpoints
from ganforge.training.state.resume import check_resumable, check_same_data, check_same_precision
from ganforge.training.state.run_state import TrainingRun, is_out_of_time
from ganforge.training.state.same_weights import broadcast_weights
from ganforge.training.state.warm_start import check_source_roles, match_roles, start_from
from ganforge.training.tasks.checkpoint import CheckpointTask
from ganforge.training.tasks.copies import training_features
from ganforge.training.tasks.display import Display
from ganforge.training.tasks.evaluate import EvaluateTask
from ganforge.training.tasks.health import HealthMonitor
from ganforge.training.tasks.json_lines import JsonLines
from ganforge.training.tasks.log import LogTask
from ganforge.training.tasks.pictures import last_frame, read_fixed_samples
from ganforge.training.tasks.sample import SampleTask
from ganforge.training.tasks.stop import BudgetTask, StopTask
from ganforge.training.tasks.summary import summarize

log = logging.getLogger(__name__)


class Train(Stage[StrictModel]):
    """Train the networks, resuming from the newest checkpoint."""

    name = "train"

    def is_done(self, context: RunContext) -> bool:
        """Whether the newest checkpoint of this run is at its end."""
        newest = checkpoints.latest(checkpoints_dir(context))
        if newest is None:
            return False
        saved = checkpoints.load(newest, files=())
        check_resumable(saved, context.config, newest)
        _check_data(saved, context, newest)
        total_nimg = round(context.config.train.total_kimg * 1000)
        is_out = is_out_of_time(context.config, saved.state["extra"])
        return is_out or int(saved.state["nimg"]) >= total_nimg

    def check(self, context: RunContext) -> None:
        """Refuse forbidden combinations, and batches that do not split over the ranks."""
        config, chosen = context.config, context.components.architecture
        reads = check_labels(config, chosen.component, chosen.config)
        if config.evaluate.every_kimg is not None:
            check_metrics(context)
        runtime = runtime_of(context)
        fixed_slots = runtime.on_main(lambda: _fixed_slots(context))
        num_slots = choose_slots(config, runtime.world_size, fixed_slots)
        spec = expected_spec(config, reads)
        architecture = None if spec is None else context.components.bound_architecture(spec)
        if architecture is not None:
            check_trainable(architecture, context.components.objective, config, num_slots)
        if config.init.source is not None:
            # Only the size of images is known before the data are prepared.
            is_exact = {*reads.required, *reads.optional} <= {"image"}
            runtime.on_main(lambda: _check_init(context, architecture, is_exact))

    def plan(self, context: RunContext) -> str:
        """How long it trains, and what it starts from."""
        config = context.config.train
        steps = -(-round(config.total_kimg * 1000) // config.batch_size)
        plan = f"train for {config.total_kimg:g} kimg: {steps} steps of {config.batch_size} images"
        if config.max_minutes is not None:
            plan += f", at most {config.max_minutes:g} minutes"
        source = context.config.init.source
        return plan if source is None else f"{plan}, starting from {source}"

    def run(self, context: RunContext) -> None:
        """Train to the end, or until a signal, on which later stages must not run."""
        location, validation = shards_location(context), validation_location(context)
        with contextlib.ExitStack() as stack:
            for place in dict.fromkeys((location, validation or location)):
                stack.enter_context(read_once(runtime_of(context), place))
            self._train(context, location, validation)

    def _train(self, context: RunContext, location: str, validation: str | None) -> None:
        run, fields = open_run(context, location)
        samples = context.run_dir / "samples"
        samples.mkdir(parents=True, exist_ok=True)
        config = context.config.train
        fixed = read_fixed_samples(run, validation or location, fields)
        if run.architecture.directions and validation is None:
            log.info("Sample pictures translate training images: data.validation is not set.")
        if run.runtime.is_main and "image" in fields:
            real = image_grid(showable(fixed.batch.image), *config.sample_grid)
            write_png(samples / "real.png", real)
        monitor = _health_monitor(run, fixed.batch, fields, location)
        lines = JsonLines(context.run_dir / "log.jsonl")
        if run.runtime.is_main:
            lines.drop_after(run.progress.nimg)
        if config.trackers:
            run.runtime.accelerator.init_trackers(run.config.name)
        meter = Meter(run.runtime)
        save = CheckpointTask(checkpoints_dir(context))
        pictures = SampleTask(samples, fixed, lines, monitor, save)
        with (
            Display(config.total_kimg, run.runtime.is_main) as display,
            stop_signals,
            contextlib.closing(save),
            contextlib.closing(pictures),
        ):
            budget = BudgetTask()
            tasks: list[Task] = [
                budget,
                pictures,
                LogTask(meter, display, lines, monitor, budget, run.progress.nimg),
                *(save, *_evaluation(context, save), StopTask(save, stop_signals)),
            ]
            hooks = get_registry().manager.hook
            hooks.ganforge_train_start(run=view_of(run))
            loader = functools.partial(
                make_loader,
                location=location,
                fields=fields,
                is_stopping=lambda: stop_signals.received is not None,
            )
            with tf32(config.tf32), cudnn_benchmark(config.cudnn_benchmark):
                train(run, loader, meter, tasks)
            pictures.finish()
            hooks.ganforge_train_end(run=view_of(run))
        if run.runtime.is_main:
            metrics = JsonLines(context.run_dir / "metrics.jsonl")
            for line in summarize(lines.read(), metrics.read(), config.total_kimg):
                log.info("%s", line)
        if not run.is_finished:
            raise RunStopped(
                f"Stopped by a signal at {run.shown_kimg} of {config.total_kimg:g} kimg; a "
                f"checkpoint is saved in {save.folder}. Run the same command to go on."
            )


def _check_data(saved: checkpoints.Checkpoint, context: RunContext, where: Path) -> None:
    try:
        index = load_index(shards_location(context))
    except DataError:
        return  # the shards may be gone after training; to train on is refused elsewhere
    check_same_data(saved, index.digest, where)


def _fixed_slots(context: RunContext) -> int | None:
    newest = checkpoints.latest(checkpoints_dir(context))
    saved = None if newest is None else checkpoints.load(newest, files=())
    return None if saved is None else int(saved.state["num_slots"])


def _check_init(
    context: RunContext, architecture: Architecture[Any] | None, check_shapes: bool
) -> None:
    """Refuse a source that the run cannot start from; a run that resumes does not need it."""
    if checkpoints.latest(checkpoints_dir(context)) is not None:
        return
    init = context.config.init
    source = read_source(init)
    check_source_roles(init, source)
    if architecture is not None:
        match_roles(init, source, architecture.meta_networks(), check_shapes=check_shapes)


def _health_monitor(
    run: TrainingRun, fixed: Batch, fields: tuple[str, ...], location: str
) -> HealthMonitor:
    shown = next(name for name in ("image", "target", "frames") if name in fields)
    train = training_features(run, location) if run.runtime.is_main and shown == "image" else None
    monitor = HealthMonitor(run, last_frame(fixed[shown]), train)
    if "health" in run.extra:
        monitor.load_state_dict(run.extra["health"])
    return monitor


def _evaluation(context: RunContext, save: CheckpointTask) -> list[Task]:
    every = context.config.evaluate.every_kimg
    if every is None:
        return []

    def evaluate(run: TrainingRun) -> None:
        save.finish(run)  # so that a failed metric loses nothing
        evaluate_run(context, run)

    return [EvaluateTask(evaluate, every)]


def open_run(context: RunContext, location: str) -> tuple[TrainingRun, tuple[str, ...]]:
    """Build the run of a pipeline; restore its newest checkpoint, or else start from `init.from`.

    Returns:
        The run, and the fields that it reads from the shards.

    Raises:
        CheckpointError: the checkpoint belongs to another configuration or other data.
        ConfigError: `init` does not fit the run.
    """
    config, runtime = context.config, runtime_of(context)
    index = load_index(location)
    chosen = context.components.architecture
    reads = check_labels(config, chosen.component, chosen.config)
    data = ReadableFields(config.data, index, location)
    fields = choose_fields(config, chosen.component.name, reads, data)
    if "text" in fields:
        check_encoder(config, index, location)
    newest = runtime.on_main(lambda: checkpoints.latest(checkpoints_dir(context)))
    saved = None if newest is None else checkpoints.load(newest, is_verified=True)
    if saved is not None and newest is not None:
        check_resumable(saved, config, newest)
        check_same_data(saved, index.digest, newest)
        check_same_precision(saved, config.train.precision, runtime.precision, newest)
    num_slots = None if saved is None else int(saved.state["num_slots"])
    run = build_run(context.components, model_spec(config, data, fields), runtime, num_slots)
    if runtime.is_main:
        warn_of_doubts(run.architecture, run.objective, config.train, run.num_slots)
    run.data_digest = index.digest
    if run.spec.num_classes and sum(index.class_counts):
        run.class_counts = torch.tensor(index.class_counts, device=runtime.device).float()
    if saved is not None and newest is not None:
        run.restore(saved, str(newest))
        log.info("Resumed from %s at %s kimg.", newest, run.shown_kimg)
    elif config.init.source is not None:
        # Rank 0 reads it for all.
        start_from(run, runtime.on_main(lambda: read_source(config.init)))
    if saved is None:
        broadcast_weights(run)
    return run, fields
