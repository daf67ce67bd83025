"""The sample task: a picture of generated images, which the health monitor checks."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ganforge.imaging.animation import write_animation
from ganforge.imaging.save import write_png
from ganforge.training.engine.loop import Rollback, Task
from ganforge.training.state.run_state import TrainingRun
from ganforge.training.tasks.alarms import Alarm, warn_of
from ganforge.training.tasks.checkpoint import roll_back
from ganforge.training.tasks.due import due_every
from ganforge.training.tasks.health import HealthMonitor
from ganforge.training.tasks.json_lines import JsonLines
from ganforge.training.tasks.pictures import FixedSamples, Pictures, sample_pictures

_FPS = 8.0
# A minute is promised, and a step may take its time.
_FIRST_SEC = 45.0


@dataclass
class SampleTask(Task):
    """Saves pictures of the averaged generator and checks the images for mode collapse.

    Video gives a PNG of some frames and an animated GIF. Pictures come by progress. If that takes
    long, the first one comes by time: it is only drawn, because time must not change a run.

    Attributes:
        folder: where the pictures go.
        fixed: real samples: images to translate, attributes and captions.
        lines: log.jsonl, for a rollback.
        checkpoints: the folder of checkpoints, for a rollback.
        clock: () -> seconds.
    """

    folder: Path
    fixed: FixedSamples | None
    lines: JsonLines
    monitor: HealthMonitor
    checkpoints: Path
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._start = self.clock()
        self._has_drawn = any(self.folder.glob("nimg-*.png"))  # before a resume

    def due(self, run: TrainingRun) -> bool:
        """Every `sample_every_kimg`."""
        return due_every(run, run.config.train.sample_every_kimg)

    def wanted(self, run: TrainingRun) -> bool:
        """Once, after most of a minute without a picture."""
        is_late = self.clock() - self._start >= _FIRST_SEC
        return is_late and not self._has_drawn and run.runtime.is_main

    def run(self, run: TrainingRun) -> None:
        """Draw on rank 0; after a collapse, roll back on all ranks."""
        self._has_drawn = True
        by_progress = self.due(run)
        alarms: list[Alarm] = []
        if run.runtime.is_main:
            pictures = self._draw(run)
            if by_progress:
                alarms = self._check(run, pictures)
        if by_progress and run.config.train.health.rollback:
            self._roll_back(run, run.runtime.broadcast_object(alarms))

    def _draw(self, run: TrainingRun) -> Pictures:
        pictures = sample_pictures(run, self.fixed)
        path = self.folder / f"nimg-{run.progress.nimg:09d}.png"
        write_png(path, pictures.still)
        if pictures.frames:
            write_animation(pictures.frames, path.with_suffix(".gif"), _FPS)
        return pictures

    def _check(self, run: TrainingRun, pictures: Pictures) -> list[Alarm]:
        alarms = self.monitor.observe_samples(pictures.made, run.progress.step)
        run.extra["health"] = self.monitor.state_dict()
        warn_of(run, alarms)
        return alarms

    def _roll_back(self, run: TrainingRun, alarms: list[Alarm]) -> None:
        for alarm in alarms:
            if alarm.kind == "collapse":
                try:
                    roll_back(run, alarm, self.checkpoints, self.lines)
                except Rollback:  # the monitor goes back too, or it would not sound again
                    self.monitor.go_back(run.extra.get("health"), alarm)
                    raise
