"""The tasks that end a run early: a limit on training time, and signals."""

import logging
import os
import signal
import stat
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType

from ganforge.training.engine.loop import StopTraining, Task
from ganforge.training.state.run_state import TrainingRun, is_out_of_time
from ganforge.training.tasks.checkpoint import CheckpointTask
from ganforge.training.tasks.due import due_every

log = logging.getLogger(__name__)

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP)
"""The signals on which a run saves and ends."""


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
    """Turns SIGTERM, SIGINT, SIGUSR1 and SIGHUP into a checkpoint and a clean end, on all ranks.

    Slurm sends such a signal before a time limit, a terminal that closes SIGHUP; the same command
    resumes the run. Under nohup, SIGHUP stays ignored.
    """

    save: CheckpointTask
    received: int | None = None

    def __enter__(self) -> "StopTask":
        self._before = {}
        if threading.current_thread() is threading.main_thread():
            for number in STOPPING:
                ignored = signal.getsignal(number) is signal.SIG_IGN
                if not (ignored and number == signal.SIGHUP):
                    self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *exc_info: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None and number == signal.SIGHUP:
            return  # a terminal that closes sends several
        if number == signal.SIGHUP:
            _leave_terminal()
        if self.received is not None:  # the second signal ends the process at once
            before = self._before[signal.Signals(number)]
            if before is signal.SIG_IGN:  # a job in the background ignores Ctrl-C
                is_interrupt = number == signal.SIGINT
                before = signal.default_int_handler if is_interrupt else signal.SIG_DFL
            signal.signal(number, before)
            signal.raise_signal(number)
        self.received = number
        log.warning(
            "%s: will save a checkpoint and stop after this step. Send it again to stop now.",
            signal.Signals(number).name,
        )

    def due(self, run: TrainingRun) -> bool:
        """Never by progress."""
        return False

    def wanted(self, run: TrainingRun) -> bool:
        """When this rank has received a signal."""
        return self.received is not None

    def run(self, run: TrainingRun) -> None:
        """Save and stop, unless the run has just ended anyway."""
        if run.is_finished:
            return
        self.save.save(run)
        self.save.finish(run)
        raise StopTraining("a signal was received. Run the same command to resume.")


def _leave_terminal() -> None:
    """Drop output to a terminal, which is gone: writing to it would be an error."""
    with open(os.devnull, "wb") as nowhere:
        for stream in (1, 2):
            if stat.S_ISCHR(os.fstat(stream).st_mode):
                os.dup2(nowhere.fileno(), stream)
