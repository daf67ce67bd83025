"""What the page's charts draw, ready for JSON."""

from collections.abc import Sequence
from typing import Any

from ganforge.metrics.records import MetricRecord
from ganforge.report.run_folder import RunFolder
from ganforge.report.series import (
    Chart,
    Column,
    charts_of,
    columns,
    is_spread,
    metric_lines,
    rounded,
)

Json = dict[str, Any]
_BEFORE_METRICS = ("loss", "accuracy", "logits")


def chart_data(runs: Sequence[RunFolder]) -> Json:
    """The columns of each run, and the charts with the lines that each shows."""
    tables = [columns(run.records) for run in runs]
    # Many lines of many runs could not be told apart.
    charts = charts_of(_known(tables), each=len(runs) > 1)
    first = [chart for chart in charts if chart.names[0].split("/")[0] in _BEFORE_METRICS]
    rest = [chart for chart in charts if chart not in first]
    return {
        "runs": [_run(run, table) for run, table in zip(runs, tables, strict=True)],
        "charts": [
            *(_log_chart(chart, runs, tables) for chart in first),
            *_metric_charts(runs),
            *(_log_chart(chart, runs, tables) for chart in rest),
        ],
        "start": 0,
        "end": _end(runs),
    }


def _run(run: RunFolder, table: dict[str, Column]) -> Json:
    alarms = [{"kimg": alarm.kimg, "kind": alarm.kind} for alarm in run.alarms]
    return {"name": run.name, "columns": table, "alarms": alarms}


def _known(tables: Sequence[dict[str, Column]]) -> list[str]:
    """The columns that hold a number in any run."""
    columns = [(name, column) for table in tables for name, column in table.items()]
    held = (name for name, column in columns if any(value is not None for value in column))
    return list(dict.fromkeys(held))


def _log_chart(
    chart: Chart, runs: Sequence[RunFolder], tables: Sequence[dict[str, Column]]
) -> Json:
    lines = [
        {"run": index, "key": key, "name": _line_name(runs, index, chart.short(key))}
        for index, table in enumerate(tables)
        for key in chart.names
        if key in table
    ]
    return {"title": chart.title, "note": "", "from_zero": chart.from_zero, "lines": lines}


def _line_name(runs: Sequence[RunFolder], index: int, short: str) -> str:
    return short if len(runs) == 1 else runs[index].name


def _metric_charts(runs: Sequence[RunFolder]) -> list[Json]:
    """A chart for each metric that was measured more than once in a run."""
    shown = [r for run in runs for r in run.metrics if not is_spread(r)]
    labels = dict.fromkeys((record.label, record.extractor) for record in shown)
    charts = []
    for label, extractor in labels:
        lines = [
            (index, line)
            for index, run in enumerate(runs)
            for line in metric_lines(
                [r for r in run.metrics if (r.label, r.extractor) == (label, extractor)]
            )
        ]
        if any(len(line) > 1 for _, line in lines):
            charts.append(_metric_chart(label, runs, lines))
    return charts


def _metric_chart(
    label: str, runs: Sequence[RunFolder], lines: Sequence[tuple[int, list[MetricRecord]]]
) -> Json:
    first = lines[0][1][0]
    unlike = dict.fromkeys(f for _, line in lines for f in first.comparable_with(line[0]))
    return {
        "title": f"{label}, {'lower' if first.lower_is_better else 'higher'} is better",
        "note": f"Not all comparable: they differ in {', '.join(unlike)}." if unlike else "",
        "lines": [
            {
                "run": index,
                "is_dashed": bool(first.comparable_with(line[0])),
                "name": _line_name(runs, index, ""),
                "x": [record.nimg / 1000 for record in line],
                "y": [rounded(record.value) for record in line],
            }
            for index, line in lines
        ],
    }


def _end(runs: Sequence[RunFolder]) -> float:
    """The last kimg of any run."""
    logged = [run.records[-1]["kimg"] for run in runs if run.records]
    measured = [record.nimg / 1000 for run in runs for record in run.metrics]
    return max([*logged, *measured], default=1.0)
