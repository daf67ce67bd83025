"""What happens between steps: logs, sample pictures, checkpoints, stop requests, evaluation."""

import logging
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from ganforge.errors import CheckpointError
from ganforge.imaging.save import write_png
from ganforge.interfaces.batch import Batch
from ganforge.registry.plugins import get_registry
from ganforge.training.engine.loop import Rollback, StopTraining
from ganforge.training.engine.meter import Meter
from ganforge.training.state import checkpoint as checkpoints
from ganforge.training.state.run_state import TrainingRun, is_out_of_time
from ganforge.training.tasks.health import Alarm, HealthMonitor
from ganforge.training.tasks.logs import Display, JsonLines
from ganforge.training.tasks.samples import sample_grid

log = logging.getLogger(__name__)


def due_every(run: TrainingRun, every_kimg: float) -> bool:
    """Whether a task with this interval is due: at its multiples and at the end of the run."""
    batch_size = run.config.train.batch_size
    return run.is_finished or run.progress.crossed(every_kimg, batch_size)


@dataclass
class LogTask:
    """Writes log.jsonl and trackers, moves the display, shows the record to the monitor."""

    meter: Meter
    display: Display
    lines: JsonLines
    monitor: HealthMonitor
    last_nimg: int
    _start: float = field(default_factory=time.time)

    def due(self, run: TrainingRun) -> bool:
        """Each `log_every_kimg`."""
        return due_every(run, run.config.train.log_every_kimg)

    def run(self, run: TrainingRun) -> None:
        """Collect and write one record."""
        record = self.meter.flush()
        for group, optimizer in run.optimizers.items():
            record[f"lr/{'+'.join(group)}"] = float(optimizer.param_groups[0]["lr"])
        if run.objective.augmentation is not None:
            for name, value in run.objective.augmentation.named_buffers():
                if value.ndim == 0:
                    record[f"augment/{name}"] = float(value)
        since = (run.progress.nimg - self.last_nimg) / 1000
        self.last_nimg = run.progress.nimg
        alarms = self.monitor.observe_log(record, since)
        run.extra["health"] = self.monitor.state_dict()
        if not run.runtime.is_main:
            return
        progress = {"nimg": run.progress.nimg, "kimg": run.progress.kimg, "step": run.progress.step}
        self.lines.append({**progress, "elapsed_sec": time.time() - self._start, **record})
        if run.runtime.accelerator.trackers:
            run.runtime.accelerator.log(record, step=run.progress.nimg)
        self.display.update(run.progress.kimg, record)
        report_alarms(run, self.lines, alarms)


def report_alarms(run: TrainingRun, lines: JsonLines, alarms: list[Alarm]) -> None:
    """Tell people, and leave a record of each alarm."""
    for alarm in alarms:
        log.warning("At %.1f kimg: %s", run.progress.kimg, alarm.message)
        lines.append({"nimg": run.progress.nimg, "kimg": run.progress.kimg, "alarm": alarm.kind})


@dataclass
class BudgetTask:
    """Counts training time against `train.max_minutes`; comes first, so that the rest can end."""

    _since: float = field(default_factory=time.monotonic)

    def due(self, run: TrainingRun) -> bool:
        """With the log, where ranks synchronise anyway."""
        return run.config.train.max_minutes is not None and due_every(
            run, run.config.train.log_every_kimg
        )

    def run(self, run: TrainingRun) -> None:
        """Add rank 0's time since the last call."""
        now = time.monotonic()
        spent = float(run.extra.get("train_sec", 0.0)) + now - self._since
        self._since = now
        run.extra["train_sec"] = run.runtime.broadcast_object(spent)
        if is_out_of_time(run.config, run.extra):
            log.info("train.max_minutes is used up at %.1f kimg.", run.progress.kimg)


@dataclass
class SampleTask:
    """Saves a picture of the averaged generator and watches its diversity."""

    folder: Path
    fixed: Batch | None
    lines: JsonLines
    monitor: HealthMonitor
    recover: Callable[[TrainingRun, Alarm], None]

    def due(self, run: TrainingRun) -> bool:
        """Each `sample_every_kimg`."""
        return due_every(run, run.config.train.sample_every_kimg)

    def run(self, run: TrainingRun) -> None:
        """Rank 0 draws; all ranks learn of a collapse."""
        alarms: list[Alarm] = []
        if run.runtime.is_main:
            picture, img = sample_grid(run, self.fixed)
            write_png(self.folder / f"nimg-{run.progress.nimg:09d}.png", picture)
            alarms = self.monitor.observe_samples(img)
            report_alarms(run, self.lines, alarms)
            run.extra["health"] = self.monitor.state_dict()
        for alarm in run.runtime.broadcast_object(alarms):
            if alarm.kind == "collapse" and run.config.train.health.rollback:
                self.recover(run, alarm)


@dataclass
class CheckpointTask:
    """Saves a checkpoint and deletes old ones."""

    folder: Path

    def due(self, run: TrainingRun) -> bool:
        """Each `checkpoint_every_kimg`."""
        return due_every(run, run.config.train.checkpoint_every_kimg)

    def run(self, run: TrainingRun) -> None:
        """Save now."""
        snapshot = run.snapshot()
        fault: Exception | None = None
        if run.runtime.is_main:
            path = self.folder / checkpoints.directory_name(run.progress.nimg)
            try:
                checkpoints.save(path, snapshot)
            except CheckpointError as err:
                fault = err
            else:
                checkpoints.prune(self.folder, run.config.train.keep_checkpoints)
                get_registry().manager.hook.ganforge_checkpoint_saved(
                    path=path, nimg=run.progress.nimg
                )
        # Also the barrier: no rank goes on before the checkpoint is whole.
        fault = run.runtime.broadcast_object(fault)
        if fault is not None:
            raise fault


@dataclass
class StopTask:
    """Turns SIGTERM, SIGINT and SIGUSR1 into a checkpoint and a clean end, on all ranks.

    Slurm sends such a signal before a time limit; the same command resumes the run.
    """

    save: CheckpointTask
    received: int | None = None

    def __enter__(self) -> "StopTask":
        self._before = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
                self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *exc_info: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:  # asked twice: end at once
            signal.signal(number, self._before[signal.Signals(number)])
            signal.raise_signal(number)
        self.received = number
        log.warning(
            "%s: will save a checkpoint and stop at the next log step. Send it again to stop now.",
            signal.Signals(number).name,
        )

    def due(self, run: TrainingRun) -> bool:
        """With the log, where ranks synchronise anyway."""
        return due_every(run, run.config.train.log_every_kimg)

    def run(self, run: TrainingRun) -> None:
        """Stop when any rank was asked to."""
        if run.is_finished or not run.runtime.any_rank(self.received is not None):
            return
        self.save.run(run)
        raise StopTraining("asked by a signal. Run the same command to resume.")


@dataclass
class EvaluateTask:
    """Calls back into the evaluate stage; comes after the checkpoint, so a fault costs nothing."""

    evaluate: Callable[[TrainingRun], object]
    every_kimg: float

    def due(self, run: TrainingRun) -> bool:
        """Each `evaluate.every_kimg`; the end of the run is the evaluate stage's."""
        batch_size = run.config.train.batch_size
        return not run.is_finished and run.progress.crossed(self.every_kimg, batch_size)

    def run(self, run: TrainingRun) -> None:
        """Measure now."""
        self.evaluate(run)


def make_recovery(folder: Path, lines: JsonLines) -> Callable[[TrainingRun, Alarm], None]:
    """The function that goes back to the newest checkpoint, with other noise from there on."""

    def recover(run: TrainingRun, alarm: Alarm) -> None:
        path = run.runtime.broadcast_object(checkpoints.latest(folder))
        limit = run.config.train.health.max_rollbacks
        if path is None or run.rollbacks >= limit:
            why = "there is no checkpoint" if path is None else f"{limit} rollbacks did not help"
            raise CheckpointError(
                f"{alarm.message} Cannot roll back at {run.progress.kimg:.1f} kimg: {why}."
            )
        rollbacks = run.rollbacks + 1
        run.restore(checkpoints.load(path), str(path))
        run.rollbacks = rollbacks
        if run.runtime.is_main:
            lines.drop_after(run.progress.nimg)
        log.warning("Rolled back to %s (%d of %d).", path.name, rollbacks, limit)
        raise Rollback(alarm.message)

    return recover
