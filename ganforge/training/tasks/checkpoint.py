"""The checkpoint task, and the rollback to the newest checkpoint."""

import logging
from dataclasses import dataclass
from pathlib import Path

from ganforge.errors import CheckpointError
from ganforge.registry.plugins import get_registry
from ganforge.training.engine.loop import Rollback, Task
from ganforge.training.run_view import view_of
from ganforge.training.state import checkpoint as checkpoints
from ganforge.training.state.run_state import TrainingRun
from ganforge.training.tasks.alarms import Alarm
from ganforge.training.tasks.due import due_every
from ganforge.training.tasks.json_lines import JsonLines

log = logging.getLogger(__name__)


@dataclass
class CheckpointTask(Task):
    """Saves a checkpoint and deletes old ones."""

    folder: Path

    def due(self, run: TrainingRun) -> bool:
        """Every `checkpoint_every_kimg`."""
        return due_every(run, run.config.train.checkpoint_every_kimg)

    def run(self, run: TrainingRun) -> None:
        """Save on rank 0; all ranks wait until the checkpoint is complete.

        Raises:
            CheckpointError: it cannot be written; raised on all ranks.
        """
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
                hooks = get_registry().manager.hook
                hooks.ganforge_checkpoint_saved(run=view_of(run), path=path)
        # Also the barrier: no rank goes on before the checkpoint is complete.
        fault = run.runtime.broadcast_object(fault)
        if fault is not None:
            raise fault


def roll_back(run: TrainingRun, alarm: Alarm, folder: Path, lines: JsonLines) -> None:
    """Restore the newest checkpoint of `folder`, and change the seed of the noise from there on.

    `lines`, log.jsonl, loses the records after the checkpoint.

    Raises:
        Rollback: always, to restart the loop from the restored state.
        CheckpointError: there is no checkpoint, or `max_rollbacks` is used up.
    """
    path = run.runtime.broadcast_object(checkpoints.latest(folder))
    limit = run.config.train.health.max_rollbacks
    if path is None or run.rollbacks >= limit:
        why = "there is no checkpoint" if path is None else f"{limit} rollbacks did not help"
        raise CheckpointError(f"{alarm.message} Cannot roll back at {run.shown_kimg} kimg: {why}.")
    rollbacks = run.rollbacks + 1
    run.restore(checkpoints.load(path), str(path))
    run.rollbacks = rollbacks
    if run.runtime.is_main:
        lines.drop_after(run.progress.nimg)
    log.warning("Rolled back to %s (%d of %d).", path.name, rollbacks, limit)
    raise Rollback(alarm.message)
