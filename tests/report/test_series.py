import math

from report.runs import METRIC, record

from ganforge.metrics.records import MetricRecord
from ganforge.report import series
from ganforge.report.series import charts_of, columns, is_spread, metric_lines, rounded


def metric(**changes):
    return MetricRecord(**(METRIC | changes))


def test_charts_of_groups_by_prefix_and_puts_losses_first():
    names = ["kimg", "img_per_sec", "zeta/b", "loss/g", "zeta/a", "alone", "loss/d", "step"]
    charts = charts_of(names)
    assert [(chart.title, chart.names) for chart in charts] == [
        ("Losses", ("loss/g", "loss/d")),
        ("Speed, images/s", ("img_per_sec",)),
        ("alone", ("alone",)),
        ("zeta", ("zeta/b", "zeta/a")),
    ]
    assert [charts[0].short("loss/g"), charts[1].short("img_per_sec")] == ["g", ""]
    assert [chart.from_zero for chart in charts] == [False, True, False, False]


def test_charts_of_each_name_have_full_titles():
    charts = charts_of(["loss/g", "loss/d", "img_per_sec"], each=True)
    assert [chart.title for chart in charts] == ["Losses: g", "Losses: d", "Speed, images/s"]
    assert all(chart.short(chart.names[0]) == "" or chart.names[0] for chart in charts)


def test_columns_have_a_value_or_none_for_each_record():
    found = columns([{"kimg": 1.0, "a": math.inf}, {"kimg": 2.0, "b": 1.234567, "step": 3.0}])
    assert found == {"kimg": [1.0, 2.0], "a": [None, None], "b": [None, 1.2346]}


def test_columns_of_a_long_log_are_means_of_neighbors(monkeypatch):
    monkeypatch.setattr(series, "MAX_POINTS", 2)
    found = columns([record(float(k), x=float(k)) for k in (1, 2, 3, 4)])
    assert found["kimg"] == [1.5, 3.5]
    assert found["x"] == [1.5, 3.5]


def test_metric_lines_join_only_what_was_measured_alike():
    first, second, other = metric(), metric(nimg=5000, value=9.0), metric(n_gen=7)
    assert metric_lines([first, other, second]) == [[first, second], [other]]


def test_is_spread_tells_deviations_from_values():
    assert is_spread(metric(metric="is", name="is_std"))
    assert not is_spread(metric(metric="is", name="is"))


def test_rounded_keeps_five_digits_and_drops_what_is_not_finite():
    assert [rounded(x) for x in (123456.0, 0.000123456, math.nan)] == [123460.0, 0.00012346, None]
