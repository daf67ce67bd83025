"""The tasks that end a run early: a limit on training time, and signals."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from ganforge.training.engine.loop import StopTraining, Task
from ganforge.training.signals import StopSignals
from ganforge.training.state.run_state import TrainingRun, is_out_of_time
from ganforge.training.tasks.checkpoint import CheckpointTask
from ganforge.training.tasks.due import due_every

log = logging.getLogger(__name__)


@dataclass
class BudgetTask(Task):
    """Counts training time against `train.max_minutes`.

    It comes first, so that the other tasks see that the run is finished.

    Attributes:
        clock: () -> seconds.
    """

    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._since = self.clock()

    def due(self, run: TrainingRun) -> bool:
        """With the log, so that a checkpoint knows the time that was spent."""
        return run.config.train.max_minutes is not None and due_every(
            run, run.config.train.log_every_kimg
        )

    def wanted(self, run: TrainingRun) -> bool:
        """When the time is used up, as rank 0 measures it."""
        limit = run.config.train.max_minutes
        return limit is not None and run.runtime.is_main and self._spent(run) >= 60 * limit

    def run(self, run: TrainingRun) -> None:
        """Add the time since the last call."""
        spent, self._since = self._spent(run), self.clock()
        run.extra["train_sec"] = run.runtime.broadcast_object(spent)
        if is_out_of_time(run.config, run.extra):
            log.info("train.max_minutes is used up at %s kimg.", run.shown_kimg)

    def seconds_left(self, run: TrainingRun) -> float | None:
        """Training time until the limit; None without one."""
        limit = run.config.train.max_minutes
        return None if limit is None else max(0.0, 60 * limit - self._spent(run))

    def _spent(self, run: TrainingRun) -> float:
        return float(run.extra.get("train_sec", 0.0)) + self.clock() - self._since


@dataclass
class StopTask(Task):
    """Turns a signal that stops the run into a checkpoint and a clean end, on all ranks."""

    save: CheckpointTask
    signals: StopSignals

    def due(self, run: TrainingRun) -> bool:
        """Never by progress."""
        return False

    def wanted(self, run: TrainingRun) -> bool:
        """When this rank has received a signal."""
        return self.signals.received is not None

    def run(self, run: TrainingRun) -> None:
        """Save and stop, unless the run has just ended anyway."""
        if run.is_finished:
            return
        self.save.save(run)
        self.save.finish(run)
        raise StopTraining("a signal was received. Run the same command to resume.")
