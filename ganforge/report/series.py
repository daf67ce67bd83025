"""Log records as columns of numbers, and the charts that show them."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ganforge.metrics.records import MetricRecord
from ganforge.report.run_folder import Record

Column = list[float | None]
MAX_POINTS = 5000
"""Of a line; a longer log is averaged down to this many."""
_COUNTERS = ("nimg", "kimg", "step", "elapsed_sec")
_AMOUNTS = ("img_per_sec", "memory_gb", "data_wait_fraction", "core_wait_fraction")
_GROUPS = {
    "loss": "Losses",
    "accuracy": "Accuracies",
    "logits": "Discriminator outputs",
    "img_per_sec": "Speed, images/s",
    "memory_gb": "Peak memory, GiB",
    "data_wait_fraction": "Fraction of time waiting for data",
    "core_wait_fraction": "Fraction of time waiting for a core",
    "grad_norm": "Gradient norms",
    "lr": "Learning rates",
    "augment": "Augmentation",
}


@dataclass(frozen=True)
class Chart:
    """A chart of lines over kimg.

    Attributes:
        title: what it shows, with the unit.
        names: keys of the columns that it shows.
        prefix: what the names share, and the legend leaves out.
    """

    title: str
    names: tuple[str, ...]
    prefix: str = ""

    @property
    def from_zero(self) -> bool:
        """Whether the vertical axis begins at zero: of amounts, not of losses."""
        return self.names[0] in _AMOUNTS

    def parts(self) -> list["Chart"]:
        """A chart for each of the names."""
        titles = (f"{self.title}: {self.short(name)}".removesuffix(": ") for name in self.names)
        return [Chart(title, (n,), n) for title, n in zip(titles, self.names, strict=True)]

    def short(self, name: str) -> str:
        """The name as the legend shows it; nothing where it repeats the title."""
        return "" if name + "/" == self.prefix else name.removeprefix(self.prefix)


def charts_of(names: Iterable[str], *, each: bool = False) -> list[Chart]:
    """A chart for each group `prefix/...` of names, or for each name; the usual ones first."""
    groups: dict[str, list[str]] = {}
    for name in names:
        if name not in _COUNTERS:
            groups.setdefault(name.split("/")[0], []).append(name)
    order = {group: place for place, group in enumerate(_GROUPS)}
    charts = [
        Chart(_GROUPS.get(group, group), tuple(groups[group]), f"{group}/")
        for group in sorted(groups, key=lambda group: (order.get(group, len(order)), group))
    ]
    return [part for chart in charts for part in chart.parts()] if each else charts


def columns(records: Sequence[Record]) -> dict[str, Column]:
    """The numbers of each key, one per record; None where there is none or it is not finite."""
    shown = _averaged(records)
    names = dict.fromkeys(name for record in shown for name in record)
    return {
        name: [rounded(record.get(name, math.nan)) for record in shown]
        for name in names
        if name == "kimg" or name not in _COUNTERS
    }


def metric_lines(records: Sequence[MetricRecord]) -> list[list[MetricRecord]]:
    """Records of one label as lines: only numbers that were measured alike are joined."""
    lines: list[list[MetricRecord]] = []
    for record in records:
        for line in lines:
            if not line[0].comparable_with(record):
                line.append(record)
                break
        else:
            lines.append([record])
    return lines


def is_spread(record: MetricRecord) -> bool:
    """Whether the number is the spread of another, such as is_std: of interest in a table only."""
    return record.name.endswith("_std")


def rounded(value: float) -> float | None:
    """Five significant digits: more cannot be seen, and make a page large."""
    return float(f"{value:.5g}") if math.isfinite(value) else None


def _averaged(records: Sequence[Record]) -> list[Record]:
    """At most MAX_POINTS records; each is the mean of as many neighbors."""
    size = -(-len(records) // MAX_POINTS)
    if size <= 1:
        return list(records)
    parts = (records[start : start + size] for start in range(0, len(records), size))
    return [_mean(part) for part in parts]


def _mean(records: Sequence[Record]) -> Record:
    names = dict.fromkeys(name for record in records for name in record)
    values = {name: [record[name] for record in records if name in record] for name in names}
    return {name: sum(found) / len(found) for name, found in values.items()}
