"""The progress of a run on the terminal: a bar, or plain lines where there is no terminal."""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

log = logging.getLogger(__name__)


def describe(record: Mapping[str, float]) -> str:
    """Speed and losses of a log record, in one line."""
    losses = [
        f"{name.removeprefix('loss/').removesuffix('/adversarial')} {value:.3f}"
        for name, value in record.items()
        if name.startswith("loss/")
    ]
    return f"{record['img_per_sec']:.0f} img/s  {'  '.join(losses)}"


class Display:
    """A progress bar on a terminal; elsewhere one log line per record; nothing if not enabled."""

    def __init__(self, total_kimg: float, enabled: bool) -> None:
        self._total = total_kimg
        self._enabled = enabled
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> "Display":
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        if self._enabled and console.is_terminal:
            self._progress = Progress(
                TextColumn("{task.completed:.1f}/{task.total:g} kimg"),
                BarColumn(),
                TextColumn("ETA"),
                TimeRemainingColumn(),
                TextColumn("{task.description}"),
                console=console,
            )
            self._progress.start()
            self._task = self._progress.add_task("starting", total=self._total)
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def update(self, kimg: float, record: Mapping[str, float] | None = None) -> None:
        """Show the progress, and the latest record where there is a new one."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=kimg)
            if record is not None:
                self._progress.update(self._task, description=describe(record))
        elif self._enabled and record is not None:
            left = max(0.0, self._total - kimg) * 1000 / max(record["img_per_sec"], 1e-9)
            log.info(
                "%.1f/%g kimg  ETA %d:%02d  %s",
                kimg,
                self._total,
                left // 60,
                left % 60,
                describe(record),
            )
