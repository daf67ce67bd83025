"""What the page shows of one run besides its charts."""

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ganforge.report import pictures
from ganforge.report.launches import Launch
from ganforge.report.pictures import Picture
from ganforge.report.run_folder import Alarm, RunFolder
from ganforge.report.series import is_spread
from ganforge.report.status import Status, newest_metrics, status_of
from ganforge.report.words import duration, number, of_total

Fact = tuple[str, str, str]
_NUM_METRICS = 4


@dataclass(frozen=True)
class RunView:
    """One run as the template reads it.

    Attributes:
        index: place among the runs of the page.
        percent: progress, 0 to 100.
        facts: headline numbers: name, value, and a small remark.
        columns: the class that each column of the sample pictures shows; empty without classes.
        missing: what the folder does not hold, one sentence each.
        recipe: the pipeline file that the run was started from; `changes` what it changed there.
        machine: machine and versions of the newest launch.
        commands: what repeats the run.
    """

    index: int
    name: str
    description: str
    status: Status
    progress: str
    percent: float
    facts: Sequence[Fact]
    alarms: Sequence[Alarm]
    missing: Sequence[str]
    columns: Sequence[str]
    pictures: Sequence[Picture]
    real: Picture | None
    others: Sequence[Picture]
    config_text: str
    recipe: str
    changes: Sequence[str]
    machine: Mapping[str, str]
    commands: Sequence[str]


def view_run(run: RunFolder, index: int) -> RunView:
    """Everything that the page shows of a run."""
    status = status_of(run)
    shown = pictures.timeline(run.path)
    launch = run.launches[-1] if run.launches else None
    return RunView(
        index=index,
        name=run.name,
        description=str(run.setting("description") or ""),
        status=status,
        progress=of_total(status.kimg, status.total_kimg),
        percent=min(100.0, 100 * status.kimg / status.total_kimg) if status.total_kimg else 0.0,
        facts=_facts(run, status),
        alarms=run.alarms,
        missing=_missing(run, shown),
        columns=_columns(run),
        pictures=shown,
        real=pictures.real(run.path),
        others=pictures.others(run.path),
        config_text=run.config_text,
        recipe=str(launch.start.get("recipe") or "") if launch else "",
        changes=launch.texts("changes") if launch else (),
        machine={} if launch is None else _machine(launch, len(run.launches)),
        commands=_commands(run, launch),
    )


def _facts(run: RunFolder, status: Status) -> list[Fact]:
    facts: list[Fact] = []
    metrics = {k: r for k, r in newest_metrics(run).items() if not is_spread(r)}
    for label, record in list(metrics.items())[:_NUM_METRICS]:
        facts.append((label, number(record.value), f"at {number(record.nimg / 1000)} kimg"))
    if status.eta_sec is not None:
        facts.append(("time left", duration(status.eta_sec), ""))
    if run.records:
        facts.append(("training time", duration(status.train_sec), ""))
    if status.img_per_sec is not None:
        facts.append(("speed", number(status.img_per_sec), "images/s"))
    memory = run.records[-1].get("memory_gb", math.nan) if run.records else math.nan
    if math.isfinite(memory):
        facts.append(("peak memory", number(memory), "GiB"))
    if status.checkpoint_age_sec is not None and status.state not in ("finished",):
        facts.append(("last checkpoint", f"{duration(status.checkpoint_age_sec)} ago", ""))
    return facts


def _missing(run: RunFolder, shown: Sequence[Picture]) -> list[str]:
    parts = {
        "no log records": not run.records,
        "no sample pictures": not shown,
        "no metrics": not run.metrics,
        "no record of the machine and the command": not run.launches,
    }
    missing = [what for what, is_missing in parts.items() if is_missing]
    return [f"The folder holds {', '.join(missing)}."] if missing else []


def _columns(run: RunFolder) -> list[str]:
    """The class of each column of the sample pictures."""
    names, grid = run.spec.get("class_names") or (), run.setting("train", "sample_grid")
    if not names or not isinstance(grid, list) or len(grid) != 2:
        return []
    return [str(names[column % len(names)]) for column in range(int(grid[1]))]


def _machine(launch: Launch, num_launches: int) -> dict[str, str]:
    launches = {"launches": str(num_launches)} if num_launches > 1 else {}
    started = {"started": str(launch.start.get("started", ""))}
    ended = {"ended": str(launch.end.get("ended", ""))} if launch.end else {}
    return {**launches, **started, **ended, **launch.facts("machine"), **launch.facts("versions")}


def _commands(run: RunFolder, launch: Launch | None) -> list[str]:
    config = shlex.quote(str(run.path / "config.yaml"))
    again = [f"ganforge run {config} name={shlex.quote(run.name)}-again"]
    if launch is None:
        return again
    given = shlex.join([str(launch.start.get("pipeline", "")), *launch.texts("overrides")])
    ranks = launch.facts("machine").get("ranks", "1")
    start = f"accelerate launch --num_processes {ranks} -m ganforge.run" if ranks != "1" else ""
    return [
        "# the command that made this run",
        f"{start or 'ganforge run'} {given}",
        "# the same settings, whatever has become of that file",
        *again,
    ]
