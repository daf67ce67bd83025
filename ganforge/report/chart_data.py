"""What the page's charts draw, ready for JSON."""

from collections.abc import Sequence
from typing import Any

from ganforge.interfaces.metric_record import MetricRecord
from ganforge.report.run_folder import RunFolder
from ganforge.report.series import Chart, Column, charts_of, columns, metric_lines, rounded

Json = dict[str, Any]


def chart_data(runs: Sequence[RunFolder]) -> Json:
    """The columns of each run, and the charts with the lines that each shows."""
    tables = [columns(run.records) for run in runs]
    charts = [_log_chart(chart, runs, tables) for chart in _charts(tables)]
    return {
        "runs": [_run(run, table) for run, table in zip(runs, tables, strict=True)],
        "charts": [*charts[:3], *_metric_charts(runs), *charts[3:]],
        "start": 0,
        "end": _end(runs),
    }


def _run(run: RunFolder, table: dict[str, Column]) -> Json:
    alarms = [{"kimg": alarm.kimg, "kind": alarm.kind} for alarm in run.alarms]
    return {"name": run.name, "columns": table, "alarms": alarms}


def _charts(tables: Sequence[dict[str, Column]]) -> list[Chart]:
    """Charts of all columns that hold a number in any run."""
    return charts_of(
        dict.fromkeys(
            name
            for table in tables
            for name, column in table.items()
            if any(value is not None for value in column)
        )
    )


def _log_chart(
    chart: Chart, runs: Sequence[RunFolder], tables: Sequence[dict[str, Column]]
) -> Json:
    lines = [
        {"run": index, "key": key, "dash": dash, "name": _line_name(runs, index, chart.short(key))}
        for index, table in enumerate(tables)
        for dash, key in enumerate(chart.names)
        if key in table
    ]
    return {"title": chart.title, "note": "", "from_zero": chart.from_zero, "lines": lines}


def _line_name(runs: Sequence[RunFolder], index: int, short: str) -> str:
    if len(runs) == 1:
        return short
    return f"{runs[index].name} {short}".strip()


def _metric_charts(runs: Sequence[RunFolder]) -> list[Json]:
    """A chart for each metric that was measured more than once in a run."""
    labels = dict.fromkeys((r.label, r.extractor) for run in runs for r in run.metrics)
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
                "dash": 0 if first.comparable_with(line[0]) == [] else 1,
                "name": _line_name(runs, index, label if len(runs) == 1 else ""),
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
