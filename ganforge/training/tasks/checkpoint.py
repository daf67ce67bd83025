"""The checkpoint task, and the rollback to the newest checkpoint."""

import functools
import logging
from dataclasses import dataclass
from pathlib import Path

from ganforge.errors import CheckpointError
from ganforge.registry.plugins import get_registry
from ganforge.training.engine.loop import Rollback, Task
from ganforge.training.run_view import view_of
from ganforge.training.state import checkpoint as checkpoints
from ganforge.training.state.checkpoint import Checkpoint
from ganforge.training.state.run_state import TrainingRun
from ganforge.training.state.same_weights import check_same_weights
from ganforge.training.state.writer import Writer
from ganforge.training.tasks.alarms import Alarm
from ganforge.training.tasks.due import due_every
from ganforge.training.tasks.json_lines import JsonLines

log = logging.getLogger(__name__)


@dataclass
class CheckpointTask(Task):
    """Saves checkpoints beside the training, and deletes old ones.

    A save waits only until the state is copied; rank 0 then writes the copy in a thread. All ranks
    hear of its end, or of its error, at the next step edge.
    """

    folder: Path

    def __post_init__(self) -> None:
        self._writer = Writer()
        self._path: Path | None = None

    def due(self, run: TrainingRun) -> bool:
        """Every `checkpoint_every_kimg`."""
        return due_every(run, run.config.train.checkpoint_every_kimg)

    def wanted(self, run: TrainingRun) -> bool:
        """On rank 0, when a write has ended."""
        return self._writer.has_ended

    def run(self, run: TrainingRun) -> None:
        """Hear of the last save; save again if that is due. At the end of a run, also wait.

        Raises:
            CheckpointError: a checkpoint cannot be written; raised on all ranks.
        """
        self.finish(run)
        if self.due(run):
            self.save(run)
        if run.is_finished:
            self.finish(run)

    def save(self, run: TrainingRun) -> None:
        """Copy the state and begin to write it.

        Raises:
            CheckpointError: the save before failed; raised on all ranks.
            TrainingError: the ranks have different weights.
        """
        self.finish(run)
        check_same_weights(run)
        snapshot = run.snapshot()
        self._path = self.folder / checkpoints.directory_name(run.progress.nimg)
        if run.runtime.is_main:
            snapshot = snapshot.on_host()
            self._writer.start(functools.partial(self._write, self._path, snapshot, run))

    def finish(self, run: TrainingRun) -> None:
        """Wait, on all ranks, until no checkpoint is being written.

        Raises:
            CheckpointError: it cannot be written; raised on all ranks.
        """
        if self._path is None:
            return
        path, self._path = self._path, None
        run.runtime.on_main(self._writer.wait)
        if run.runtime.is_main:
            hooks = get_registry().manager.hook
            hooks.ganforge_checkpoint_saved(run=view_of(run), path=path)

    def close(self) -> None:
        """Wait on this rank alone, where training ends by an error."""
        self._writer.close()

    def _write(self, path: Path, snapshot: Checkpoint, run: TrainingRun) -> None:
        checkpoints.save(path, snapshot)
        checkpoints.prune(self.folder, run.config.train.keep_checkpoints)


def roll_back(run: TrainingRun, alarm: Alarm, save: CheckpointTask, lines: JsonLines) -> None:
    """Restore the newest checkpoint of `save`, and change the seed of the noise from there on.

    `lines`, log.jsonl, loses the records after the checkpoint.

    Raises:
        Rollback: always, to restart the loop from the restored state.
        CheckpointError: there is no checkpoint, or `max_rollbacks` is used up.
    """
    save.finish(run)
    path = run.runtime.on_main(lambda: checkpoints.latest(save.folder))
    limit = run.config.train.health.max_rollbacks
    if path is None or run.rollbacks >= limit:
        why = "there is no checkpoint" if path is None else f"{limit} rollbacks did not help"
        raise CheckpointError(f"{alarm.message} Cannot roll back at {run.shown_kimg} kimg: {why}.")
    rollbacks = run.rollbacks + 1
    run.restore(checkpoints.load(path, is_verified=True), str(path))
    run.rollbacks = rollbacks
    if run.runtime.is_main:
        lines.drop_after(run.progress.nimg)
    log.warning("Rolled back to %s (%d of %d).", path.name, rollbacks, limit)
    raise Rollback(alarm.message)
