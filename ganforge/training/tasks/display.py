"""The progress of a run on the terminal: a bar, or plain lines where there is no terminal."""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ganforge.training.engine.progress import shown_kimg
from ganforge.training.tasks.forecast import shown_clock

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
    rate = record["img_per_sec"]
    return f"{rate:.{0 if rate >= 10 else 2}f} img/s  {'  '.join(losses)}"


class Display:
    """A progress bar on a terminal; elsewhere one log line per record; nothing if not enabled."""

    def __init__(self, total_kimg: float, enabled: bool) -> None:
        self._total = total_kimg
        self._enabled = enabled
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> "Display":
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        console = Console(stderr=True)
        if self._enabled and console.is_terminal:
            self._progress = Progress(
                TextColumn("{task.fields[kimg]}/{task.total:g} kimg"),
                BarColumn(),
                TextColumn("ETA {task.fields[eta]}  {task.description}"),
                console=console,
            )
            self._progress.start()
            self._task = self._progress.add_task(
                "starting", total=self._total, kimg=shown_kimg(0, self._total), eta="-"
            )
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def say(self, line: str) -> None:
        """Show a line once, above the bar if there is one."""
        if self._enabled:
            log.info("%s", line)

    def update(self, kimg: float, record: Mapping[str, float], left: float | None) -> None:
        """Show the progress, the seconds that are left (None: not known yet), and the record."""
        done, eta = shown_kimg(kimg, self._total), "-" if left is None else shown_clock(left)
        if self._progress is not None and self._task is not None:
            self._progress.update(
                self._task, completed=kimg, kimg=done, eta=eta, description=describe(record)
            )
        elif self._enabled:
            log.info("%s/%g kimg  ETA %s  %s", done, self._total, eta, describe(record))
