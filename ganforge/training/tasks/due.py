"""When a periodic task is due."""

from ganforge.training.state.run_state import TrainingRun


def due_every(run: TrainingRun, every_kimg: float) -> bool:
    """Whether the last step passed a multiple of `every_kimg`, or ended the run."""
    return run.is_finished or run.progress.crossed(every_kimg, run.config.train.batch_size)
