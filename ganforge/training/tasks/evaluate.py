"""The evaluate task: measures the run during training."""

from collections.abc import Callable
from dataclasses import dataclass

from ganforge.training.engine.loop import Task
from ganforge.training.state.run_state import TrainingRun


@dataclass
class EvaluateTask(Task):
    """Calls the evaluate stage; comes after the checkpoint, so that a failure loses nothing."""

    evaluate: Callable[[TrainingRun], object]
    every_kimg: float

    def due(self, run: TrainingRun) -> bool:
        """Every `evaluate.every_kimg`, except at the end: the evaluate stage measures that."""
        batch_size = run.config.train.batch_size
        return not run.is_finished and run.progress.crossed(self.every_kimg, batch_size)

    def run(self, run: TrainingRun) -> None:
        """Measure now."""
        self.evaluate(run)
