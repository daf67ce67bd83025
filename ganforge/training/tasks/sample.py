"""The sample task: pictures of the averaged generator, and a check of its diversity."""

from dataclasses import dataclass
from pathlib import Path

from ganforge.imaging.animation import write_animation
from ganforge.imaging.save import write_png
from ganforge.training.state.run_state import TrainingRun
from ganforge.training.tasks.checkpoint import roll_back
from ganforge.training.tasks.due import due_every
from ganforge.training.tasks.health import Alarm, HealthMonitor
from ganforge.training.tasks.json_lines import JsonLines
from ganforge.training.tasks.log import report_alarms
from ganforge.training.tasks.pictures import FixedSamples, sample_pictures

_FPS = 8.0


@dataclass
class SampleTask:
    """Saves pictures of the averaged generator and checks the images for mode collapse.

    Video gives a PNG of some frames and an animated GIF.

    Attributes:
        folder: where the pictures go.
        fixed: real samples: images to translate, attributes and captions.
        checkpoints: the folder of checkpoints, for a rollback.
    """

    folder: Path
    fixed: FixedSamples | None
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
            pictures = sample_pictures(run, self.fixed)
            path = self.folder / f"nimg-{run.progress.nimg:09d}.png"
            write_png(path, pictures.still)
            if pictures.frames:
                write_animation(pictures.frames, path.with_suffix(".gif"), _FPS)
            alarms = self.monitor.observe_samples(pictures.made)
            report_alarms(run, self.lines, alarms)
            run.extra["health"] = self.monitor.state_dict()
        for alarm in run.runtime.broadcast_object(alarms):
            if alarm.kind == "collapse" and run.config.train.health.rollback:
                roll_back(run, alarm, self.checkpoints, self.lines)
