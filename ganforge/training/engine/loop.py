"""The training loop: batch, phases, average, advance, then whatever periodic task is due."""

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from torch import Tensor

from ganforge.interfaces.batch import Batch
from ganforge.registry.plugins import get_registry
from ganforge.training.engine.agreement import Agreement
from ganforge.training.engine.make_batch import make_batch
from ganforge.training.engine.meter import Meter
from ganforge.training.engine.step import Stepper
from ganforge.training.run_view import view_of
from ganforge.training.state.run_state import TrainingRun

log = logging.getLogger(__name__)


class Loader(Protocol):
    """An endless stream of global steps: one dict of fields per local slot."""

    def __iter__(self) -> Iterator[list[dict[str, Tensor]]]:
        """Iterate from the step it was made for."""

    def close(self) -> None:
        """Stop its workers."""


class Task(ABC):
    """Something that runs now and then between steps, on all ranks together."""

    @abstractmethod
    def due(self, run: TrainingRun) -> bool:
        """Whether the last step made it due: a pure function of progress."""

    def wanted(self, run: TrainingRun) -> bool:
        """Whether this rank wants it now, due or not: time has passed, or a signal came.

        Asked at every step, so it must be cheap. What runs for this reason must leave no trace in
        the state of the run, unless it ends it.
        """
        return False

    @abstractmethod
    def run(self, run: TrainingRun) -> None:
        """Do it."""


class StopTraining(Exception):  # noqa: N818  # a signal to the loop, not a fault
    """Raised by a task to end the run early, after a checkpoint."""


class Rollback(Exception):  # noqa: N818  # a signal to the loop, not a fault
    """Raised by a task after it has put back an earlier state."""


MakeLoader = Callable[[TrainingRun], Loader]
"""Gives the loader that continues at the run's step."""


def train(run: TrainingRun, make_loader: MakeLoader, meter: Meter, tasks: Sequence[Task]) -> None:
    """Train until `total_kimg`, or until a task stops it; tasks run in the given order."""
    while not run.is_finished:
        loader = make_loader(run)
        try:
            _train_from(run, loader, meter, tasks)
        except Rollback:
            continue
        except StopTraining as reason:
            log.warning("Stopped at %s kimg: %s", run.shown_kimg, reason)
            return
        finally:
            loader.close()


def _train_from(run: TrainingRun, loader: Loader, meter: Meter, tasks: Sequence[Task]) -> None:
    stepper = Stepper(run)
    agreement = Agreement(run.runtime, lambda: [task.wanted(run) for task in tasks])
    batch_size = run.config.train.batch_size
    hooks = get_registry().manager.hook
    stream = iter(loader)
    while not run.is_finished:
        waiting = time.perf_counter()
        fields = next(stream)
        data_wait_sec = time.perf_counter() - waiting
        result = stepper.step(make_batches(run, fields), run.progress, agreement.vote())
        run.progress.advance(batch_size)
        run.ema.update(run.progress.nimg, batch_size)
        if run.objective.augmentation is not None:
            run.objective.augmentation.step_end(batch_size)
        meter.add(result, batch_size, data_wait_sec, _num_frames(fields))
        hooks.ganforge_step_end(run=view_of(run))
        wanted = agreement.outcome()
        for index, task in enumerate(tasks):
            if wanted[index] or task.due(run):
                stepper.finite.settle()
                task.run(run)
                agreement.done(index)
    stepper.finite.settle()


def _num_frames(fields: Sequence[Mapping[str, Tensor]]) -> int:
    """Frames of each clip of a step; a still image is one."""
    return next((values["frames"].shape[1] for values in fields if "frames" in values), 1)


def make_batches(run: TrainingRun, fields: Sequence[dict[str, Tensor]]) -> list[Batch]:
    """One batch per local slot."""
    return [
        make_batch(
            values,
            run.spec,
            run.runtime.device,
            channels_last=run.channels_last,
            nimg=run.progress.nimg,
            slot_state=state,
            class_counts=run.class_counts,
        )
        for values, state in zip(fields, run.slot_state, strict=True)
    ]
