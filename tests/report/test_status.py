import json
import math
import os
import socket
import subprocess
import sys
from dataclasses import asdict

import pytest
from report.runs import make_old, record, write_lines, write_run, write_spec

from ganforge.report.run_folder import read_run
from ganforge.report.status import describe, newest_metrics, status_of, train_sec


def status(folder):
    return status_of(read_run(folder))


def hold(folder, pid, host=None):
    (folder / ".lock").write_text(f"pid {pid}, host {host or socket.gethostname()}\n")


def dead_pid():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def launch(folder, **end):
    write_lines(folder / "launches.jsonl", [{"started": "now"}, *([end] if end else [])])


def test_status_of_a_living_process_is_training_with_a_time_left(tmp_path):
    folder = write_run(tmp_path / "run", total_kimg=10.0)
    hold(folder, os.getpid())
    found = status(folder)
    assert (found.state, found.kimg, found.total_kimg) == ("training", 4.0, 10.0)
    assert found.eta_sec == pytest.approx(60.0)
    assert found.last == {
        "loss/discriminator/adversarial": 0.5, "loss/generator/adversarial": 0.5,
        "img_per_sec": 100.0, "memory_gb": 0.5,
    }  # fmt: skip


def test_status_time_left_ignores_one_slow_record_and_keeps_to_max_minutes(tmp_path):
    lines = [record(k) for k in (1.0, 2.0, 3.0)] + [record(4.0, img_per_sec=1.0)]
    folder = write_run(tmp_path / "run", lines=lines, total_kimg=10.0)
    hold(folder, os.getpid())
    assert status(folder).eta_sec == pytest.approx(60.0)
    limited = write_run(tmp_path / "limited", lines=lines, total_kimg=10.0, max_minutes=1.0)
    hold(limited, os.getpid())
    assert status(limited).eta_sec == pytest.approx(20.0)


def test_status_of_a_dead_process_is_killed(tmp_path):
    folder = write_run(tmp_path / "run", total_kimg=10.0)
    hold(folder, dead_pid())
    assert status(folder).state == "killed"


def test_status_of_another_host_goes_by_the_age_of_the_newest_file(tmp_path):
    folder = write_run(tmp_path / "run", total_kimg=10.0)
    launch(folder)
    hold(folder, 1, "elsewhere")
    assert status(folder).state == "training"
    make_old(folder, 3600)
    found = status(folder)
    assert found.state == "silent"
    assert found.last_sign_sec == pytest.approx(3600, abs=60)


@pytest.mark.parametrize("outcome", ["finished", "stopped", "failed"])
def test_status_of_an_ended_launch_is_its_outcome(tmp_path, outcome):
    folder = write_run(tmp_path / "run", total_kimg=10.0)
    launch(folder, ended="now", outcome=outcome, message="Why.")
    found = status(folder)
    assert (found.state, found.detail, found.eta_sec) == (outcome, "Why.", None)


def test_status_without_launches_is_finished_at_the_end_of_training(tmp_path):
    assert status(write_run(tmp_path / "whole")).state == "finished"
    out_of_time = write_run(tmp_path / "late", total_kimg=10.0, max_minutes=0.5)
    assert status(out_of_time).state == "finished"


def test_status_of_a_trained_run_that_lives_is_measuring(tmp_path):
    folder = write_run(tmp_path / "run")
    hold(folder, os.getpid())
    assert status(folder).state == "measuring"


def test_status_before_the_first_record_is_not_started_or_preparing(tmp_path):
    folder = write_run(tmp_path / "run", lines=[])
    found = status(folder)
    assert (found.state, found.kimg, found.img_per_sec) == ("not started", 0.0, None)
    hold(folder, os.getpid())
    assert status(folder).state == "preparing"


def test_status_names_the_newest_checkpoint_and_its_age(tmp_path):
    folder = write_run(tmp_path / "run")
    os.utime(write_spec(folder), (0, 0))
    found = status(folder)
    assert found.checkpoint == "nimg-000004000"
    assert found.checkpoint_age_sec > 1e9


def test_train_sec_adds_up_launches_whose_counter_starts_again(tmp_path):
    elapsed = [10.0, 20.0, 5.0, 7.0]
    lines = [record(k + 1.0, elapsed_sec=e) for k, e in enumerate(elapsed)]
    assert train_sec(read_run(write_run(tmp_path / "run", lines=lines))) == 27.0


def test_newest_metrics_keeps_extractors_apart(tmp_path):
    metrics = [{"value": 9.0}, {"value": 8.0, "nimg": 5000}, {"value": 1.0, "extractor": "other"}]
    found = newest_metrics(read_run(write_run(tmp_path / "run", metrics=metrics)))
    assert {label: r.value for label, r in found.items()} == {"fid": 8.0, "fid (other)": 1.0}


def test_status_with_numbers_that_are_not_finite_is_valid_json(tmp_path):
    lines = [record(1.0, **{"loss/x": None})]
    folder = write_run(tmp_path / "run", lines=lines, metrics=[{"value": math.nan}])
    text = json.dumps(asdict(status(folder)), allow_nan=False)
    assert json.loads(text)["last"]["loss/x"] is None


def test_describe_shows_each_part_once(tmp_path):
    alarm = {"nimg": 1000, "kimg": 1.0, "alarm": "collapse"}
    lines = [record(1.0), alarm]
    folder = write_run(tmp_path / "run", lines=lines, metrics=[{}], total_kimg=2.0)
    hold(folder, os.getpid())
    shown = describe(status(folder)).splitlines()
    assert shown[0] == "tiny: training, 1 of 2 kimg (50%)"
    assert "  time left    10 s" in shown
    assert "  metrics      fid 10" in shown
    assert "  log          loss/discriminator/adversarial 0.5" in shown
    assert "               loss/generator/adversarial 2" in shown
    assert "  alarms       at 1 kimg: collapse" in shown
