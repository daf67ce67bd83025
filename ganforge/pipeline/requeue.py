"""Whether a job that has ended before its run goes back to the queue of a cluster."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganforge.errors import ConfigError, RunStopped
from ganforge.io.atomic import write_text
from ganforge.report.run_folder import checkpoint_paths

MAX_REQUEUES = 3
_VARIABLE = "GANFORGE_MAX_REQUEUES"
_USER_ERROR = 2


@dataclass(frozen=True)
class Verdict:
    """Whether to start the job again, and why."""

    again: bool
    reason: str


def max_requeues(environ: Mapping[str, str] = os.environ) -> int:
    """How often a job may start again without progress.

    Raises:
        ConfigError: the variable is no whole number.
    """
    text = environ.get(_VARIABLE, str(MAX_REQUEUES))
    if not (text.isascii() and text.isdigit()):
        raise ConfigError(f"{_VARIABLE} is {text!r}, which is no whole number from 0. Unset it.")
    return int(text)


def judge(status: int, run_dir: Path, job: str, limit: int) -> Verdict:
    """Judge the end of a job, and remember its progress in the run directory.

    Progress is a newer checkpoint, or a stage that has got further, `prepare` by a sample.

    Args:
        status: exit status of the job, not 0.
        run_dir: of the run.
        job: its number; another job of the same run counts anew.
        limit: starts without progress that are allowed.
    """
    if status == _USER_ERROR:
        return Verdict(False, "the error above would come again")
    newest = max((path.name for path in checkpoint_paths(run_dir)), default=None)
    if newest is None and status != RunStopped.exit_code:
        return Verdict(False, f"it failed with status {status} before its first checkpoint")
    count = _count(run_dir / ".requeue.json", job, _progress(run_dir, newest))
    if count > limit:
        return Verdict(
            False, f"{limit} starts have brought no progress beyond {newest} ({_VARIABLE}={limit})"
        )
    return Verdict(True, f"status {status}, newest checkpoint {newest}")


def _count(path: Path, job: str, progress: Any) -> int:
    """Ends of this job with this progress, before this one; counts this one."""
    try:
        known = json.loads(path.read_text())
        count = int(known["count"]) + 1
        is_same = (known["job"], known["progress"]) == (job, progress)
    except (OSError, ValueError, KeyError, TypeError):
        count, is_same = 0, False
    count = count if is_same else 0
    write_text(path, json.dumps({"job": job, "progress": progress, "count": count}) + "\n")
    return count


def _progress(run_dir: Path, newest: str | None) -> list[Any]:
    """Equal at two times if nothing was finished between them."""
    stages = sorted((run_dir / ".stages").glob("*.json"))
    marks = [[path.name, path.stat().st_mtime_ns] for path in stages]
    # Samples that a `prepare` has encoded, if it was stopped.
    spools = sorted(run_dir.glob(".*.spool/*"))
    sizes = [[path.parent.name, path.name, path.stat().st_size] for path in spools]
    return [newest, (run_dir / "shards" / "index.json").exists(), marks, sizes]
