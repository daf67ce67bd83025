"""The results of a run in a few lines, logged at its end."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ganforge.training.engine.progress import shown_kimg

Records = Sequence[Mapping[str, Any]]
_SHOWN = (
    ("samples/diversity", "diversity", 1),
    ("samples/coverage", "mode coverage", 1),
    ("samples/copies", "copies of training images", 0),
)


def summarize(log: Records, metrics: Records, total_kimg: float) -> list[str]:
    """Lines on samples, metrics and alarms, from log.jsonl and metrics.jsonl, oldest first."""
    found = (_samples(log, total_kimg), _metrics(metrics, total_kimg), _alarms(log, total_kimg))
    return [line for line in found if line]


def _samples(log: Records, total_kimg: float) -> str:
    records = [record for record in log if "samples/diversity" in record]
    if not records:
        return ""
    first, last = records[0], records[-1]
    shown = [
        f"{words} {first[name]:.2f} -> {last[name]:.2f} (goal {goal})"
        for name, words, goal in _SHOWN
        if name in first and name in last
    ]
    return f"Samples ({_span(records, total_kimg)}): {', '.join(shown)}."


def _metrics(metrics: Records, total_kimg: float) -> str:
    series: dict[str, list[Mapping[str, Any]]] = {}
    for record in metrics:
        series.setdefault(str(record["name"]), []).append(record)
    shown = [
        f"{name} {records[0]['value']:.4g} -> {records[-1]['value']:.4g}"
        for name, records in series.items()
        if records[0]["nimg"] != records[-1]["nimg"] and None not in _values(records)
    ]
    return f"Metrics ({_span(metrics, total_kimg)}): {', '.join(shown)}." if shown else ""


def _alarms(log: Records, total_kimg: float) -> str:
    shown = [
        f"{alarm['kind']} at {shown_kimg(record['nimg'] / 1000, total_kimg)} kimg"
        for record in log
        for alarm in record.get("alarms", ())
    ]
    return f"Alarms: {', '.join(shown) or 'none'}."


def _span(records: Records, total_kimg: float) -> str:
    first, last = (shown_kimg(records[index]["nimg"] / 1000, total_kimg) for index in (0, -1))
    return f"{first} to {last} kimg"


def _values(records: Records) -> Iterator[object]:
    return (record["value"] for record in (records[0], records[-1]))
