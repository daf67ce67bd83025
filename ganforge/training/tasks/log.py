"""The log task: one record of losses and speed for log.jsonl, trackers, display and monitor."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ganforge.registry.plugins import get_registry
from ganforge.training.engine.loop import Task
from ganforge.training.engine.meter import Meter
from ganforge.training.run_view import view_of
from ganforge.training.state.run_state import TrainingRun
from ganforge.training.tasks.alarms import as_records, warn_of
from ganforge.training.tasks.display import Display
from ganforge.training.tasks.due import due_every
from ganforge.training.tasks.forecast import announcement, seconds_left
from ganforge.training.tasks.health import HealthMonitor
from ganforge.training.tasks.json_lines import JsonLines
from ganforge.training.tasks.stop import BudgetTask

# Five seconds early, because a step may take that long: 10 and 20 seconds are promised.
_FIRST_SEC = 5.0
_EVERY_SEC = 15.0


@dataclass
class LogTask(Task):
    """Collects a record on all ranks; rank 0 writes it, shows it and checks it.

    Records come by progress. Until the first of these, further ones come by time, so that a slow
    run shows soon that it works. Those have `"by": "time"`, leave the averages of the others as
    they are, and are not seen by the health monitor: time must not change a run.

    Attributes:
        clock: () -> seconds.
    """

    meter: Meter
    display: Display
    lines: JsonLines
    monitor: HealthMonitor
    budget: BudgetTask
    last_nimg: int
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._start = self._last = self.clock()
        self._num_records = 0
        self._by_progress = False
        self._is_announced = False

    def due(self, run: TrainingRun) -> bool:
        """Every `log_every_kimg`."""
        return due_every(run, run.config.train.log_every_kimg)

    def wanted(self, run: TrainingRun) -> bool:
        """After some seconds without a record, until the first that comes by progress."""
        if self._by_progress or not run.runtime.is_main:
            return False
        return self.clock() - self._last >= (_EVERY_SEC if self._num_records else _FIRST_SEC)

    def run(self, run: TrainingRun) -> None:
        """Collect and write one record."""
        by_progress = self.due(run)
        means = self.meter.flush() if by_progress else self.meter.peek()
        record = {**means, **_learning_rates(run), **_augmentation_state(run)}
        run.last_log = record
        marks: dict[str, Any] = {"by": "time"}
        if by_progress:
            since = (run.progress.nimg - self.last_nimg) / 1000
            self.last_nimg = run.progress.nimg
            alarms = self.monitor.observe_log(record, since)
            values, earlier = self.monitor.take_unlogged()
            record |= values
            marks = {"alarms": [*earlier, *as_records(alarms)]}
            run.extra["health"] = self.monitor.state_dict()
        self._last, self._num_records = self.clock(), self._num_records + 1
        self._by_progress |= by_progress
        if run.runtime.is_main:
            self._write(run, record, marks)
            if by_progress:
                warn_of(run, alarms)

    def _write(self, run: TrainingRun, record: dict[str, float], marks: dict[str, Any]) -> None:
        progress = {"nimg": run.progress.nimg, "kimg": run.progress.kimg, "step": run.progress.step}
        elapsed = {"elapsed_sec": self._last - self._start}
        self.lines.append({**progress, **elapsed, **record, **marks})
        if run.runtime.accelerator.trackers:
            run.runtime.accelerator.log(record, step=run.progress.nimg)
        self._show(run, record)
        get_registry().manager.hook.ganforge_log(run=view_of(run), record=record)

    def _show(self, run: TrainingRun, record: dict[str, float]) -> None:
        pace, budget = self.meter.pace.sec_per_frame, self.budget.seconds_left(run)
        if pace is not None and not self._is_announced:
            self._is_announced = True
            self.display.say(announcement(run, pace, budget, time.time()))
        left = None if pace is None else seconds_left(run, pace, budget)
        self.display.update(run.progress.kimg, record, left)


def _learning_rates(run: TrainingRun) -> dict[str, float]:
    return {
        f"lr/{'+'.join(group)}": float(optimizer.param_groups[0]["lr"])
        for group, optimizer in run.optimizers.items()
    }


def _augmentation_state(run: TrainingRun) -> dict[str, float]:
    if run.objective.augmentation is None:
        return {}
    buffers = run.objective.augmentation.named_buffers()
    return {f"augment/{name}": float(value) for name, value in buffers if value.ndim == 0}
