"""What a run tells people: log.jsonl, trackers, a progress bar or plain lines."""

import contextlib
import json
import logging
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from ganforge.io.atomic import naming, write_text

log = logging.getLogger(__name__)


class JsonLines:
    """An append-only file of JSON records that knows how to go back to a checkpoint."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, record: Mapping[str, object]) -> None:
        """Write one record as one line, on a new one after what a kill cut short."""
        with naming(self.path), self.path.open("a+b") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    file.write(b"\n")
            file.write((json.dumps(_finite(record)) + "\n").encode())

    def read(self) -> list[dict[str, Any]]:
        """All whole records, oldest first; none when there is no file."""
        if not self.path.exists():
            return []
        records = []
        for line in self.path.read_text().splitlines():
            with contextlib.suppress(ValueError):  # a line cut short by a kill
                records.append(json.loads(line))
        return records

    def drop_after(self, nimg: int) -> None:
        """Remove the records of images that a resumed run will see again."""
        if not self.path.exists():
            return
        kept = [record for record in self.read() if record.get("nimg", 0) <= nimg]
        write_text(self.path, "".join(f"{json.dumps(record)}\n" for record in kept))


def _finite(record: Mapping[str, object]) -> dict[str, object]:
    # JSON has no NaN; a reader should not choke on a diverged run.
    return {
        k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in record.items()
    }


def describe(record: Mapping[str, float]) -> str:
    """Speed and losses of a log record, for one line."""
    losses = [
        f"{name.removeprefix('loss/').removesuffix('/adversarial')} {value:.3f}"
        for name, value in record.items()
        if name.startswith("loss/")
    ]
    return f"{record['img_per_sec']:.0f} img/s  {'  '.join(losses)}"


class Display:
    """A progress bar on a terminal; elsewhere one log line per record."""

    def __init__(self, total_kimg: float, enabled: bool) -> None:
        self._total = total_kimg
        self._enabled = enabled
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> "Display":
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
        """Show progress, and the latest record when there is a new one."""
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
