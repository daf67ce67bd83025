from report.runs import write_run

from ganforge.report.comparison import metric_rows, setting_rows
from ganforge.report.run_folder import read_run


def runs(tmp_path, *metrics, **settings):
    return [
        read_run(write_run(tmp_path / f"{number}", name=f"run{number}", metrics=found, **settings))
        for number, found in enumerate(metrics)
    ]


def test_metric_rows_mark_the_best_of_what_was_measured_alike(tmp_path):
    rows = metric_rows(
        runs(tmp_path, [{"value": 3.0}], [{"value": 2.0}], [{"value": 1.0, "n_gen": 7}])
    )
    (row,) = rows
    assert [cell.is_best for cell in row.cells] == [False, True, False]
    assert [cell.unlike for cell in row.cells] == [(), (), ("n_gen",)]
    assert [record.n_gen for record in row.manners] == [50, 7]


def test_metric_rows_higher_is_better_where_the_metric_says_so(tmp_path):
    found = [[{"value": v, "lower_is_better": False}] for v in (1.0, 2.0)]
    (row,) = metric_rows(runs(tmp_path, *found))
    assert [cell.is_best for cell in row.cells] == [False, True]


def test_metric_rows_of_a_metric_that_one_run_lacks(tmp_path):
    (row,) = metric_rows(runs(tmp_path, [], [{"value": 2.0}]))
    assert row.cells[0].record is None
    assert row.first.value == 2.0
    assert not row.cells[1].is_best


def test_setting_rows_are_those_that_differ(tmp_path):
    first = read_run(write_run(tmp_path / "a", name="a", total_kimg=1.0))
    second = read_run(write_run(tmp_path / "b", name="b", total_kimg=2.0, seed=3))
    assert setting_rows([first, second]) == [
        ("train.total_kimg", ("1.0", "2.0")),
        ("train.seed", ("(absent)", "3")),
    ]
    assert setting_rows([first]) == []
