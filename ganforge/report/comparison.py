"""Tables that put runs side by side: metrics, and the settings in which the runs differ."""

from collections.abc import Sequence
from dataclasses import dataclass

from ganforge.config.dump import leaves
from ganforge.metrics.records import MetricRecord
from ganforge.report.run_folder import RunFolder
from ganforge.report.status import newest_metrics

_PLACES = ("name", "run_dir", "description")


@dataclass(frozen=True)
class Cell:
    """The number of one run.

    Attributes:
        record: the number with its provenance; None where the run lacks it.
        unlike: fields in which it was measured otherwise than the first run's number.
        is_best: whether it is the best of those that were measured alike.
    """

    record: MetricRecord | None
    unlike: tuple[str, ...] = ()
    is_best: bool = False


@dataclass(frozen=True)
class Row:
    """One metric of all runs."""

    label: str
    cells: tuple[Cell, ...]

    @property
    def first(self) -> MetricRecord:
        """The record that the others are compared with."""
        return next(cell.record for cell in self.cells if cell.record is not None)

    @property
    def manners(self) -> list[MetricRecord]:
        """A record of each manner of measuring: the first, and those that are unlike it."""
        return [self.first, *(cell.record for cell in self.cells if cell.record and cell.unlike)]


def metric_rows(runs: Sequence[RunFolder]) -> list[Row]:
    """The newest value of each metric, one column a run."""
    newest = [newest_metrics(run) for run in runs]
    labels = dict.fromkeys(label for found in newest for label in found)
    return [Row(label, _cells([found.get(label) for found in newest])) for label in labels]


def _cells(records: Sequence[MetricRecord | None]) -> tuple[Cell, ...]:
    first = next(record for record in records if record is not None)
    unlike = [() if r is None else tuple(first.comparable_with(r)) for r in records]
    alike = [r for r, fields in zip(records, unlike, strict=True) if r is not None and not fields]
    choose = min if first.lower_is_better else max
    best = choose(alike, key=lambda r: r.value) if len(alike) > 1 else None
    return tuple(
        Cell(record, fields, record is not None and record is best)
        for record, fields in zip(records, unlike, strict=True)
    )


def setting_rows(runs: Sequence[RunFolder]) -> list[tuple[str, tuple[str, ...]]]:
    """The settings in which runs differ, with the value of each run."""
    settings = [dict(leaves(run.config)) for run in runs]
    paths = dict.fromkeys(path for found in settings for path in found)
    rows = [(path, tuple(s.get(path, "(absent)") for s in settings)) for path in paths]
    return [row for row in rows if len(set(row[1])) > 1 and row[0] not in _PLACES]
