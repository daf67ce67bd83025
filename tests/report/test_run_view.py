import math

from report.runs import record, write_lines, write_run, write_spec

from ganforge.report.run_folder import read_run
from ganforge.report.run_view import view_run

START = {
    "started": "2026-01-01T00:00:00+00:00", "pipeline": "my file.yaml", "overrides": ["name=a b"],
    "recipe": "quickstart", "changes": ["train.seed: 0 -> 1"],
    "machine": {"host": "node", "ranks": 1}, "versions": {"torch": "2"},
}  # fmt: skip


def view(folder):
    return view_run(read_run(folder), 0)


def test_view_run_shows_headline_numbers(tmp_path):
    metrics = [{}, {"name": "fid_std", "value": 1.0}]
    shown = view(write_run(tmp_path / "run", metrics=metrics))
    assert shown.progress == "4 of 4 kimg (100%)"
    assert list(shown.facts) == [
        ("fid", "10", "at 4 kimg"), ("training time", "40 s", ""), ("speed", "100", "images/s"),
        ("peak memory", "0.5", "GiB"),
    ]  # fmt: skip


def test_view_run_says_what_the_folder_lacks(tmp_path):
    shown = view(write_run(tmp_path / "run", lines=[]))
    assert shown.missing == [
        "The folder holds no log records, no sample pictures, no metrics, no record of the machine "
        "and the command."
    ]
    assert (shown.facts, shown.percent) == ([], 0.0)


def test_view_run_memory_that_is_not_finite_is_left_out(tmp_path):
    folder = write_run(tmp_path / "run", lines=[record(1.0, memory_gb=math.nan)])
    assert "peak memory" not in [name for name, _, _ in view(folder).facts]


def test_view_run_names_the_class_of_each_column(tmp_path):
    folder = write_run(tmp_path / "run")
    assert view(folder).columns == []
    write_spec(folder, class_names=["a", "b"])
    assert view(folder).columns == ["a", "b", "a"]


def test_view_run_tells_the_machine_and_how_to_repeat_it(tmp_path):
    folder = write_run(tmp_path / "run")
    write_lines(folder / "launches.jsonl", [START])
    shown = view(folder)
    assert (shown.recipe, shown.changes) == ("quickstart", ["train.seed: 0 -> 1"])
    assert shown.machine == {
        "started": START["started"], "host": "node", "ranks": "1", "torch": "2",
    }  # fmt: skip
    assert "ganforge run 'my file.yaml' 'name=a b'" in shown.commands
    assert shown.commands[-1] == f"ganforge run {folder}/config.yaml name=tiny-again"


def test_view_run_of_several_ranks_is_repeated_by_the_launcher(tmp_path):
    folder = write_run(tmp_path / "run")
    write_lines(folder / "launches.jsonl", [START | {"machine": {"ranks": 4}}])
    command = "accelerate launch --num_processes 4 -m ganforge.run 'my file.yaml' 'name=a b'"
    assert command in view(folder).commands
