"""Reads the folder of a run as it stands: complete, half-written, damaged or not yet begun."""

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydantic
import yaml

from ganforge.errors import ConfigError
from ganforge.metrics.records import MetricRecord
from ganforge.report.launches import FILE_NAME as LAUNCHES
from ganforge.report.launches import Launch, pair_up

Record = dict[str, float]
_MARKS = ("config.yaml", "log.jsonl", "checkpoints")


@dataclass(frozen=True)
class Alarm:
    """A warning of the health monitor."""

    kimg: float
    kind: str
    message: str


@dataclass(frozen=True)
class RunFolder:
    """What the files of a run say.

    Attributes:
        path: the folder.
        config_text: the resolved pipeline file; `config` holds its values.
        records: numbers of the log, by progress; NaN where a number was not finite.
        metrics: measured numbers, oldest first.
        spec: what the model generates; empty before the first checkpoint.
        faults: what is damaged, one sentence each.
    """

    path: Path
    config_text: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    records: Sequence[Record] = ()
    alarms: Sequence[Alarm] = ()
    metrics: Sequence[MetricRecord] = ()
    launches: Sequence[Launch] = ()
    spec: Mapping[str, Any] = field(default_factory=dict)
    faults: Sequence[str] = ()
    shown_name: str = ""

    @property
    def name(self) -> str:
        """The name of the run; that of the folder where the pipeline file does not tell."""
        return self.shown_name or str(self.config.get("name", self.path.resolve().name))

    def renamed(self, name: str) -> "RunFolder":
        """The same run under another name."""
        return dataclasses.replace(self, shown_name=name)

    def setting(self, *keys: str) -> Any:
        """A value of the pipeline file; None when there is none."""
        value: Any = self.config
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        return value

    def number(self, *keys: str) -> float | None:
        """A number of the pipeline file; None when there is none."""
        value = self.setting(*keys)
        return float(value) if _is_number(value) else None


def read_run(path: Path) -> RunFolder:
    """Read the folder of a run.

    Raises:
        ConfigError: there is no such folder, or it is not that of a run.
    """
    _check(path)
    faults: list[str] = []
    text, config = _read_config(path / "config.yaml", faults)
    records, alarms = _read_log(path / "log.jsonl", faults)
    launches = pair_up(_read_lines(path / LAUNCHES, faults))
    metrics = _read_metrics(path / "metrics.jsonl", faults)
    spec = _read_spec(path)
    return RunFolder(path, text, config, records, alarms, metrics, launches, spec, tuple(faults))


def checkpoint_paths(path: Path) -> list[Path]:
    """The checkpoints of a run, oldest first, not verified."""
    return sorted(found for found in (path / "checkpoints").glob("nimg-*") if found.is_dir())


def nimg_of(path: Path) -> int | None:
    """The progress that a name such as "nimg-000012800.png" states."""
    digits = path.stem.removeprefix("nimg-")
    return int(digits) if digits.isascii() and digits.isdigit() else None


def _check(path: Path) -> None:
    if any((path / name).exists() for name in _MARKS):
        return
    if not path.exists():
        fault = f"There is no folder {path}."
    elif not path.is_dir():
        fault = f"{path} is a file, not the folder of a run."
    else:
        fault = f"{path} is not the folder of a run: it holds none of {', '.join(_MARKS)}."
    raise ConfigError(f"{fault} {_advice(path)}")


def _advice(path: Path) -> str:
    """Where runs are: inside the folder, or in `runs`."""
    if _is_run(Path("runs") / path):
        return f"Did you mean {Path('runs') / path}?"
    if _is_run(path.parent):
        return f"Did you mean {path.parent}?"
    for folder in (path, Path("runs")):
        runs = [str(f) for f in sorted(folder.glob("*")) if _is_run(f)] if folder.is_dir() else []
        if runs:
            shown = ", ".join(runs[:8]) + (", ..." if len(runs) > 8 else "")
            return f"Runs in {folder}: {shown}."
    return "Give the folder that `ganforge run` writes, such as runs/quickstart."


def _is_run(path: Path) -> bool:
    return any((path / name).exists() for name in _MARKS)


def _read_config(path: Path, faults: list[str]) -> tuple[str, Mapping[str, Any]]:
    if not path.exists():
        faults.append("config.yaml is missing, so the settings of the run are unknown.")
        return "", {}
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        config = yaml.safe_load(text)
    except yaml.YAMLError as err:
        faults.append(f"config.yaml is not valid YAML: {str(err).splitlines()[0]}.")
        return text, {}
    if isinstance(config, dict):
        return text, config
    faults.append("config.yaml is not a mapping of sections.")
    return text, {}


def _read_lines(path: Path, faults: list[str]) -> list[dict[str, Any]]:
    """The records of a JSON Lines file; a last line without an end may still be being written."""
    if not path.exists():
        return []
    *lines, last = path.read_bytes().split(b"\n")
    records, num_damaged = [], 0
    for line in (*lines, last):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError:  # also of bytes that are not UTF-8
            num_damaged += line is not last
            continue
        if isinstance(record, dict):
            records.append(record)
        else:
            num_damaged += 1
    if num_damaged:
        faults.append(f"{path.name}: {num_damaged} damaged lines are left out.")
    return records


def _read_log(path: Path, faults: list[str]) -> tuple[list[Record], list[Alarm]]:
    lines = _read_lines(path, faults)
    placed = [line for line in lines if _is_number(line.get("kimg"))]
    if len(placed) < len(lines):
        faults.append(f"{path.name}: {len(lines) - len(placed)} records without kimg are left out.")
    placed.sort(key=lambda line: float(line["kimg"]))
    alarms = [
        Alarm(float(line["kimg"]), str(line["alarm"]), str(line.get("message", "")))
        for line in placed
        if "alarm" in line
    ]
    return [_numbers(line) for line in placed if "alarm" not in line], alarms


def _numbers(line: Mapping[str, Any]) -> Record:
    """The numbers of a log record. null stands for one that was not finite."""
    shown = {key: math.nan if value is None else value for key, value in line.items()}
    return {key: float(value) for key, value in shown.items() if _is_number(value)}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _read_metrics(path: Path, faults: list[str]) -> list[MetricRecord]:
    metrics, num_unknown = [], 0
    for line in _read_lines(path, faults):
        try:
            metrics.append(MetricRecord.model_validate(line))
        except pydantic.ValidationError:
            num_unknown += 1
    if num_unknown:
        faults.append(f"{path.name}: {num_unknown} records are not metric records.")
    return metrics


def _read_spec(path: Path) -> Mapping[str, Any]:
    """What the model generates, as its newest checkpoint or its export states."""
    states = [folder / "state.json" for folder in reversed(checkpoint_paths(path))]
    for file, key in (
        *((state, "spec") for state in states),
        (path / "export/config.json", "image_spec"),
    ):
        try:
            spec = json.loads(file.read_bytes())[key]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if isinstance(spec, dict):
            return spec
    return {}
