"""The log task: one record of losses and speed for log.jsonl, trackers, display and monitor."""

import logging
import time
from dataclasses import dataclass, field

from ganforge.registry.plugins import get_registry
from ganforge.training.engine.meter import Meter
from ganforge.training.run_view import view_of
from ganforge.training.state.run_state import TrainingRun
from ganforge.training.tasks.display import Display
from ganforge.training.tasks.due import due_every
from ganforge.training.tasks.health import Alarm, HealthMonitor
from ganforge.training.tasks.json_lines import JsonLines

log = logging.getLogger(__name__)


@dataclass
class LogTask:
    """Collects a record on all ranks; rank 0 writes it, shows it and checks it."""

    meter: Meter
    display: Display
    lines: JsonLines
    monitor: HealthMonitor
    last_nimg: int
    _start: float = field(default_factory=time.time)

    def due(self, run: TrainingRun) -> bool:
        """Every `log_every_kimg`."""
        return due_every(run, run.config.train.log_every_kimg)

    def run(self, run: TrainingRun) -> None:
        """Collect and write one record."""
        record = {**self.meter.flush(), **_learning_rates(run), **_augmentation_state(run)}
        run.last_log = record
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
        get_registry().manager.hook.ganforge_log(run=view_of(run), record=record)


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


def report_alarms(run: TrainingRun, lines: JsonLines, alarms: list[Alarm]) -> None:
    """Warn of each alarm, and record it."""
    for alarm in alarms:
        log.warning("At %.1f kimg: %s", run.progress.kimg, alarm.message)
        lines.append({"nimg": run.progress.nimg, "kimg": run.progress.kimg, "alarm": alarm.kind})
