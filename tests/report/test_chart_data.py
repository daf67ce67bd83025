import json

from report.runs import record, write_run

from ganforge.report.chart_data import chart_data
from ganforge.report.run_folder import read_run


def data_of(*folders):
    return chart_data([read_run(folder) for folder in folders])


def test_chart_data_of_one_run_has_a_chart_for_each_group(tmp_path):
    folder = write_run(tmp_path / "run", metrics=[{"nimg": 2000}, {"value": 9.0}])
    data = data_of(folder)
    titles = [chart["title"] for chart in data["charts"]]
    assert titles == ["Losses", "fid, lower is better", "Speed, images/s", "Peak memory, GiB"]
    assert [line["name"] for line in data["charts"][0]["lines"]] == [
        "discriminator/adversarial", "generator/adversarial",
    ]  # fmt: skip
    assert data["charts"][1]["lines"][0]["x"] == [2.0, 4.0]
    assert (data["start"], data["end"]) == (0, 4.0)
    json.dumps(data, allow_nan=False)


def test_chart_data_of_several_runs_has_a_line_a_run(tmp_path):
    first = write_run(tmp_path / "a", name="a")
    second = write_run(tmp_path / "b", name="b", lines=[record(k, extra=1.0) for k in (1.0, 9.0)])
    data = data_of(first, second)
    charts = {chart["title"]: chart["lines"] for chart in data["charts"]}
    assert [line["name"] for line in charts["Losses: generator/adversarial"]] == ["a", "b"]
    assert [line["run"] for line in charts["extra"]] == [1]
    assert data["end"] == 9.0


def test_chart_data_marks_metrics_that_were_not_measured_alike(tmp_path):
    first = write_run(tmp_path / "a", name="a", metrics=[{"nimg": 2000}, {}])
    second = write_run(tmp_path / "b", name="b", metrics=[{"n_gen": 7}])
    chart = next(c for c in data_of(first, second)["charts"] if c["title"].startswith("fid"))
    assert chart["note"] == "Not all comparable: they differ in n_gen."
    assert [line["is_dashed"] for line in chart["lines"]] == [False, True]


def test_chart_data_of_single_measurements_and_spreads_is_left_to_the_table(tmp_path):
    spread = [{"name": "fid_std", "nimg": nimg} for nimg in (1, 2)]
    data = data_of(write_run(tmp_path / "run", metrics=[{}, *spread]))
    assert not [chart for chart in data["charts"] if "better" in chart["title"]]


def test_chart_data_leaves_out_what_was_never_finite(tmp_path):
    data = data_of(write_run(tmp_path / "run", lines=[record(1.0, **{"bad/x": None})]))
    assert "bad" not in [chart["title"] for chart in data["charts"]]


def test_chart_data_of_a_run_without_records_has_no_charts(tmp_path):
    data = data_of(write_run(tmp_path / "run", lines=[]))
    assert (data["charts"], data["end"]) == ([], 1.0)
