import json
import math

import pytest
from report.runs import METRIC, record, write_lines, write_run, write_spec

from ganforge.errors import ConfigError
from ganforge.report.run_folder import read_run


def test_read_run_whole_folder_has_no_faults(tmp_path):
    folder = write_run(tmp_path / "run", metrics=[{}])
    write_spec(folder, class_names=["a", "b"])
    run = read_run(folder)
    assert run.faults == ()
    assert (run.name, run.number("train", "total_kimg")) == ("tiny", 4.0)
    assert [line["kimg"] for line in run.records] == [1.0, 2.0, 3.0, 4.0]
    assert [found.label for found in run.metrics] == ["fid"]
    assert run.spec["class_names"] == ["a", "b"]


def test_read_run_unknown_numbers_are_kept_and_other_values_are_not(tmp_path):
    line = record(1.0, **{"equilibrium/gap": 2, "loss/x": None, "note": "text", "flag": True})
    (found,) = read_run(write_run(tmp_path / "run", lines=[line])).records
    assert found["equilibrium/gap"] == 2.0
    assert math.isnan(found["loss/x"])
    assert not {"note", "flag"} & set(found)


def test_read_run_alarms_are_not_records(tmp_path):
    alarm = {"nimg": 1000, "kimg": 1.0, "alarm": "collapse", "message": "Samples are alike."}
    run = read_run(write_run(tmp_path / "run", lines=[record(1.0), alarm]))
    assert len(run.records) == 1
    assert [(a.kimg, a.kind, a.message) for a in run.alarms] == [
        (1.0, "collapse", "Samples are alike.")
    ]


def test_read_run_damaged_log_counts_what_is_left_out(tmp_path):
    folder = write_run(tmp_path / "run")
    whole = json.dumps(record(5.0)).encode()
    lines = [b"\xff\xfe{", b"[1]", b'{"nimg": 3}', whole, whole[:20]]
    (folder / "log.jsonl").write_bytes(b"\n".join(lines))
    run = read_run(folder)
    assert [line["kimg"] for line in run.records] == [5.0]
    assert run.faults == (
        "log.jsonl: 2 damaged lines are left out.",
        "log.jsonl: 1 records without kimg are left out.",
    )


def test_read_run_records_out_of_order_are_sorted(tmp_path):
    run = read_run(write_run(tmp_path / "run", lines=[record(2.0), record(1.0)]))
    assert [line["kimg"] for line in run.records] == [1.0, 2.0]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("name: [", "config.yaml is not valid YAML"),
        ("- a", "config.yaml is not a mapping"),
        (None, "config.yaml is missing"),
    ],
)
def test_read_run_damaged_config_is_a_fault_and_the_folder_names_the_run(tmp_path, text, fault):
    folder = write_run(tmp_path / "run")
    (folder / "config.yaml").unlink()
    if text is not None:
        (folder / "config.yaml").write_text(text)
    run = read_run(folder)
    assert run.faults[0].startswith(fault)
    assert run.name == "run"
    assert len(run.records) == 4


def test_read_run_unknown_metric_record_is_a_fault(tmp_path):
    folder = write_run(tmp_path / "run")
    write_lines(folder / "metrics.jsonl", [METRIC, {"metric": "fid"}])
    run = read_run(folder)
    assert len(run.metrics) == 1
    assert run.faults == ("metrics.jsonl: 1 records are not metric records.",)


def test_read_run_damaged_newest_checkpoint_the_one_before_states_the_spec(tmp_path):
    folder = write_run(tmp_path / "run")
    write_spec(folder, class_names=["a"])
    (folder / "checkpoints" / "nimg-000005000").mkdir()
    assert read_run(folder).spec == {"class_names": ["a"]}


def test_read_run_of_no_run_says_where_runs_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = write_run(tmp_path / "runs" / "tiny")
    cases = {
        tmp_path / "absent": r"There is no folder .*absent\. Runs in runs: runs/tiny\.",
        folder / "config.yaml": r"is a file, not the folder of a run\. Did you mean .*tiny\?",
        folder / "samples": r"holds none of .*\. Did you mean .*tiny\?",
        tmp_path / "runs": r"Runs in .*runs: .*tiny\.",
    }
    for path, message in cases.items():
        with pytest.raises(ConfigError, match=message):
            read_run(path)


def test_read_run_name_of_a_run_names_its_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "runs" / "tiny")
    from pathlib import Path

    with pytest.raises(ConfigError, match=r"Did you mean runs/tiny\?"):
        read_run(Path("tiny"))
