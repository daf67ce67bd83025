"""The sample task: a picture of the averaged generator, and a check of its diversity."""

from dataclasses import dataclass
from pathlib import Path

from ganforge.imaging.save import write_png
from ganforge.interfaces.batch import Batch
from ganforge.training.state.run_state import TrainingRun
from ganforge.training.tasks.checkpoint import roll_back
from ganforge.training.tasks.due import due_every
from ganforge.training.tasks.health import Alarm, HealthMonitor
from ganforge.training.tasks.json_lines import JsonLines
from ganforge.training.tasks.log import report_alarms
from ganforge.training.tasks.pictures import sample_grid


@dataclass
class SampleTask:
    """Saves a picture of the averaged generator and checks the images for mode collapse.

    Attributes:
        folder: where the pictures go.
        fixed: real samples, which give images to translate, attributes and captions.
        checkpoints: the folder of checkpoints, for a rollback.
    """

    folder: Path
    fixed: Batch | None
    lines: JsonLines
    monitor: HealthMonitor
    checkpoints: Path

    def due(self, run: TrainingRun) -> bool:
        """Every `sample_every_kimg`."""
        return due_every(run, run.config.train.sample_every_kimg)

    def run(self, run: TrainingRun) -> None:
        """Draw on rank 0; after a collapse, roll back on all ranks."""
        alarms: list[Alarm] = []
        if run.runtime.is_main:
            picture, img = sample_grid(run, self.fixed)
            write_png(self.folder / f"nimg-{run.progress.nimg:09d}.png", picture)
            alarms = self.monitor.observe_samples(img)
            report_alarms(run, self.lines, alarms)
            run.extra["health"] = self.monitor.state_dict()
        for alarm in run.runtime.broadcast_object(alarms):
            if alarm.kind == "collapse" and run.config.train.health.rollback:
                roll_back(run, alarm, self.checkpoints, self.lines)
