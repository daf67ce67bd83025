"""The sample task: a picture of generated images, which the health monitor checks."""

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ganforge.imaging.animation import write_animation
from ganforge.imaging.save import write_png
from ganforge.training.engine.loop import Rollback, Task
from ganforge.training.state.run_state import TrainingRun
from ganforge.training.state.writer import Writer
from ganforge.training.tasks.alarms import Alarm, warn_of
from ganforge.training.tasks.checkpoint import CheckpointTask, roll_back
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

    Rank 0 generates the images; a thread lays them out and writes them, beside the training.

    Video gives a PNG of some frames and an animated GIF. Pictures come by progress. If that takes
    long, the first one comes by time: it is only drawn, because time must not change a run.

    Attributes:
        folder: where the pictures go.
        fixed: real samples: images to translate, attributes and captions.
        lines: log.jsonl, for a rollback.
        save: the checkpoints, for a rollback.
        clock: () -> seconds.
    """

    folder: Path
    fixed: FixedSamples | None
    lines: JsonLines
    monitor: HealthMonitor
    save: CheckpointTask
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._writer = Writer()
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
            made = self._draw(run)
            if by_progress:
                alarms = self._check(run, made)
        if by_progress and run.config.train.health.rollback:
            self._roll_back(run, run.runtime.broadcast_object(alarms))

    def finish(self) -> None:
        """Wait until the last picture is written.

        Raises:
            OSError: it cannot be written; names it.
        """
        self._writer.wait()

    def close(self) -> None:
        """Wait, where training ends by an error."""
        self._writer.close()

    def _draw(self, run: TrainingRun) -> Tensor:
        pictures = sample_pictures(run, self.fixed)
        path = self.folder / f"nimg-{run.progress.nimg:09d}.png"
        self._writer.start(functools.partial(_write, path, pictures))
        return pictures.made

    def _check(self, run: TrainingRun, made: Tensor) -> list[Alarm]:
        alarms = self.monitor.observe_samples(made, run.progress.step)
        run.extra["health"] = self.monitor.state_dict()
        warn_of(run, alarms)
        return alarms

    def _roll_back(self, run: TrainingRun, alarms: list[Alarm]) -> None:
        for alarm in alarms:
            if alarm.kind == "collapse":
                try:
                    roll_back(run, alarm, self.save, self.lines)
                except Rollback:  # the monitor goes back too, or it would not sound again
                    self.monitor.go_back(run.extra.get("health"), alarm)
                    raise


def _write(path: Path, pictures: Pictures) -> None:
    write_png(path, pictures.still())
    frames = pictures.frames()
    if frames:
        write_animation(frames, path.with_suffix(".gif"), _FPS)
