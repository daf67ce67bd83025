"""The status of a run: how far it is, whether it is alive, and what it says of itself."""

import math
import os
import re
import socket
import statistics
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ganforge.metrics.records import MetricRecord
from ganforge.report.launches import Launch
from ganforge.report.run_folder import Alarm, RunFolder, checkpoint_paths
from ganforge.report.words import duration, number, of_total

State = Literal[
    "not started", "preparing", "training", "measuring", "silent", "killed", "stopped", "failed",
    "finished",
]  # fmt: skip
_OUTCOMES: Mapping[str, State] = {
    "stopped": "stopped", "failed": "failed", "finished": "finished",
}  # fmt: skip
_SILENT_SEC = 600.0
_RATES = 20
_COUNTERS = ("nimg", "kimg", "step", "elapsed_sec")


@dataclass(frozen=True)
class Status:
    """Where a run stands. Times are seconds, ages are relative to the moment of reading.

    Attributes:
        state: what it does, or how it ended.
        detail: a sentence on the state; empty when there is nothing to add.
        train_sec: training time so far, over all launches.
        eta_sec: time left in training; None when it is unknown or over.
        last_sign_sec: age of the newest file of the run.
        checkpoint: name of the newest checkpoint, and `checkpoint_age_sec` its age.
        last: the newest log record without its counters.
        metrics: the newest value of each metric, by label.
    """

    run: str
    name: str
    state: State
    detail: str
    kimg: float
    total_kimg: float | None
    train_sec: float
    img_per_sec: float | None
    eta_sec: float | None
    last_sign_sec: float
    checkpoint: str | None
    checkpoint_age_sec: float | None
    last: Mapping[str, float | None]
    metrics: Mapping[str, float | None]
    alarms: tuple[Alarm, ...]
    faults: tuple[str, ...]


def status_of(run: RunFolder) -> Status:
    """The status of a run, from its files alone: any machine that sees the folder can read it."""
    newest = run.records[-1] if run.records else {}
    kimg, total = newest.get("kimg", 0.0), run.number("train", "total_kimg")
    age = _last_sign_sec(run.path)
    state, detail = _state(run, kimg, total, age)
    rate = _rate(run)
    checkpoint = next(reversed(checkpoint_paths(run.path)), None)
    return Status(
        run=str(run.path),
        name=run.name,
        state=state,
        detail=detail,
        kimg=kimg,
        total_kimg=total,
        train_sec=train_sec(run),
        img_per_sec=rate,
        eta_sec=_eta(run, kimg, total, rate) if state in ("training", "silent") else None,
        last_sign_sec=age,
        checkpoint=None if checkpoint is None else checkpoint.name,
        checkpoint_age_sec=None if checkpoint is None else _age(checkpoint),
        last={k: _finite(v) for k, v in newest.items() if k not in _COUNTERS},
        metrics={label: _finite(r.value) for label, r in newest_metrics(run).items()},
        alarms=tuple(run.alarms),
        faults=tuple(run.faults),
    )


def newest_metrics(run: RunFolder) -> dict[str, MetricRecord]:
    """The newest record of each metric, by label and, of a further extractor, its name."""
    found: dict[str, MetricRecord] = {}
    extractors: dict[str, str] = {}
    for record in run.metrics:
        first = extractors.setdefault(record.label, record.extractor)
        key = record.label if record.extractor == first else f"{record.label} ({record.extractor})"
        found[key] = record
    return found


def train_sec(run: RunFolder) -> float:
    """Training time over all launches: the counter starts again at each."""
    total = last = 0.0
    for record in run.records:
        elapsed = record.get("elapsed_sec", last)
        if math.isfinite(elapsed):
            total += elapsed - last if elapsed >= last else elapsed
            last = elapsed
    return total


def _state(run: RunFolder, kimg: float, total: float | None, age: float) -> tuple[State, str]:
    launch = run.launches[-1] if run.launches else Launch({}, {})
    if launch.outcome in _OUTCOMES:
        return _OUTCOMES[launch.outcome], launch.message
    is_trained = (total is not None and kimg >= total) or _is_out_of_time(run)
    is_alive = _is_alive(run.path)
    if not run.launches and is_trained and is_alive is not True:
        return "finished", ""
    if not run.launches and not run.records and is_alive is not True:
        return "not started", "It has no log records yet."
    if is_alive is False:
        return "killed", "Its process ended without a word. The same command resumes it."
    if is_alive is None and age > _SILENT_SEC:
        return "silent", "Nothing was written for long: it may have been killed, or hang."
    if not run.records:
        return "preparing", "It has no log records yet."
    return ("measuring" if is_trained else "training"), ""


def _is_out_of_time(run: RunFolder) -> bool:
    limit = run.number("train", "max_minutes")
    return limit is not None and train_sec(run) >= 60 * limit


def _is_alive(path: Path) -> bool | None:
    """Whether the process that holds the run lives; None when it is on another machine.

    Closing the lock file drops this process's own lock on it, so a run must not call this for its
    own folder while others could start there.
    """
    try:
        holder = (path / ".lock").read_text(errors="replace").strip()
    except OSError:
        return None
    found = re.fullmatch(r"pid (\d+), host (.+)", holder)
    if found is None or found[2] != socket.gethostname():
        return None
    try:
        os.kill(int(found[1]), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _rate(run: RunFolder) -> float | None:
    """The median speed of the newest records: one slow step does not swing it."""
    rates = [record.get("img_per_sec", math.nan) for record in run.records[-_RATES:]]
    known = [rate for rate in rates if math.isfinite(rate) and rate > 0]
    return statistics.median(known) if known else None


def _eta(run: RunFolder, kimg: float, total: float | None, rate: float | None) -> float | None:
    if total is None or rate is None:
        return None
    left = max(0.0, total - kimg) * 1000 / rate
    limit = run.number("train", "max_minutes")
    return left if limit is None else max(0.0, min(left, 60 * limit - train_sec(run)))


def _last_sign_sec(path: Path) -> float:
    names = ("*.yaml", "*.jsonl", ".lock", "samples/*", "checkpoints/*", ".shards.partial*/*")
    ages = [_age(file) for name in names for file in path.glob(name)]
    return min(ages, default=0.0)


def _age(path: Path) -> float:
    try:
        # Clocks of two machines differ.
        return max(0.0, time.time() - path.stat().st_mtime)
    except OSError:  # deleted in the meantime
        return math.inf


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def describe(status: Status) -> str:
    """The status as lines of text."""
    lines = [f"{status.name}: {status.state}, {of_total(status.kimg, status.total_kimg)}"]
    for name, texts in _parts(status):
        lines += [f"  {name if text is texts[0] else '':<12} {text}" for text in texts]
    return "\n".join(lines)


def _parts(status: Status) -> Iterator[tuple[str, list[str]]]:
    yield "", [status.detail] if status.detail else []
    if status.eta_sec is not None:
        yield "time left", [duration(status.eta_sec)]
    if status.img_per_sec is not None:
        trained = duration(status.train_sec)
        yield "speed", [f"{number(status.img_per_sec)} images/s, trained for {trained}"]
    yield "last write", [f"{duration(status.last_sign_sec)} ago"]
    if status.checkpoint is not None:
        age = duration(status.checkpoint_age_sec or 0.0)
        yield "checkpoint", [f"{status.checkpoint}, {age} ago"]
    yield "metrics", [f"{label} {number(value)}" for label, value in status.metrics.items()]
    yield "log", [f"{name} {number(value)}" for name, value in status.last.items()]
    yield "alarms", [f"at {number(a.kimg)} kimg: {a.message or a.kind}" for a in status.alarms]
    yield "damage", list(status.faults)
