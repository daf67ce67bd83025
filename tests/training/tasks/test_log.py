"""The log task writes one record to the file, the trackers, the display and the monitor."""

import pytest
from training.toy import advance, train_toy, weights

from ganforge.training.engine.meter import Meter
from ganforge.training.tasks.alarms import Alarm
from ganforge.training.tasks.checkpoint import CheckpointTask
from ganforge.training.tasks.display import Display
from ganforge.training.tasks.json_lines import JsonLines
from ganforge.training.tasks.log import LogTask
from ganforge.training.tasks.sample import SampleTask
from ganforge.training.tasks.stop import BudgetTask


@pytest.fixture
def make_task(lines, make_monitor, clock):
    def make(run, shown=False):
        meter, display = Meter(run.runtime, clock), Display(1.0, shown)
        return LogTask(meter, display, lines, make_monitor(run), BudgetTask(clock), 0, clock)

    return make


def test_log_task_is_due_at_its_interval(make_run, make_task):
    run = make_run(log_every_kimg=0.032)
    task, due = make_task(run), []
    for _ in range(4):
        run.progress.advance(16)
        due.append(task.due(run))
    assert due == [False, True, False, True]


def test_log_task_is_wanted_after_seconds_until_records_come_by_progress(
    make_run, make_task, clock
):
    run = make_run(log_every_kimg=0.032)
    run.progress.advance(16)
    task, wanted = make_task(run), []
    for second in range(1, 45):
        clock.now += 1.0
        if task.wanted(run):
            wanted.append(second)
            task.run(run)
    assert wanted == [5, 20, 35]  # within 10 s, and every 20 s, with time left for a step
    run.progress.advance(16)
    task.run(run)
    clock.now += 1000.0
    assert not task.wanted(run)


def test_log_task_of_other_ranks_wants_nothing(make_run, make_task, clock, monkeypatch):
    run = make_run()
    task = make_task(run)
    monkeypatch.setattr(type(run.runtime), "is_main", False)
    clock.now += 1000.0
    assert not task.wanted(run)


def test_log_task_records_losses_rates_and_progress(make_run, make_task, lines, clock):
    run = make_run(log_every_kimg=0.032)
    task = make_task(run)
    task.meter.add(advance(run, 2), 32, 0.0)
    clock.now += 4.0
    task.run(run)
    (record,) = lines.read()
    assert (record["step"], record["nimg"], record["kimg"]) == (2, 32, 0.032)
    assert record["elapsed_sec"] == 4.0 and record["alarms"] == [] and "by" not in record
    assert record["loss/generator/adversarial"] > 0
    assert record["lr/generator"] == record["lr/discriminator"] == 1e-2
    assert run.last_log.items() <= record.items()
    assert run.extra["health"]["game"]["steps"] == 2


def test_log_task_by_time_marks_its_record_and_leaves_the_monitor_alone(make_run, make_task, lines):
    run = make_run()
    task = make_task(run)
    task.meter.add(advance(run, 1), 16, 0.0)
    task.run(run)
    (record,) = lines.read()
    assert record["by"] == "time" and "alarms" not in record
    assert record["loss/generator/adversarial"] > 0
    assert "health" not in run.extra


def test_what_happens_by_time_changes_neither_the_run_nor_its_other_records(
    make_run, make_monitor, clock, tmp_path
):
    def trained(name, seconds):
        run = make_run(total_kimg=0.16, log_every_kimg=0.08, sample_every_kimg=0.16)
        folder, clock.step = tmp_path / name, 0.0
        (folder / "samples").mkdir(parents=True)
        lines, monitor = JsonLines(folder / "log.jsonl"), make_monitor(run)
        meter, budget = Meter(run.runtime, clock), BudgetTask(clock)
        tasks = [
            SampleTask(folder / "samples", None, lines, monitor, CheckpointTask(folder), clock),
            LogTask(meter, Display(1, False), lines, monitor, budget, 0, clock),
        ]
        clock.step = seconds
        train_toy(run, tasks, meter)
        tasks[0].finish()
        pictures = sorted(path.name for path in (folder / "samples").iterdir())
        return weights(run), run.extra, lines.read(), pictures

    fast, slow = trained("fast", 0.0), trained("slow", 30.0)
    assert [r["nimg"] for r in slow[2] if "by" in r] == [16, 32, 48, 64]
    assert slow[3] == ["nimg-000000016.png", "nimg-000000160.png"] and fast[3] == slow[3][1:]
    assert all(tensor.equal(slow[0][key]) for key, tensor in fast[0].items())
    assert fast[1] == slow[1]
    timed = ("elapsed_sec", "img_per_sec", "data_wait_fraction", "core_wait_fraction", "memory_gb")
    kept = [
        [{k: v for k, v in r.items() if k not in timed} for r in records if "by" not in r]
        for records in (fast[2], slow[2])
    ]
    assert kept[0] == kept[1] and len(kept[0]) == 2


def test_log_task_sends_the_record_to_the_trackers(make_run, make_task, monkeypatch):
    run, sent = make_run(), []
    monkeypatch.setattr(run.runtime.accelerator, "trackers", [object()])
    monkeypatch.setattr(run.runtime.accelerator, "log", lambda *a, **k: sent.append((a, k)))
    make_task(run).run(run)
    assert sent == [((run.last_log,), {"step": 0})]


def test_log_task_of_other_ranks_writes_nothing(make_run, make_task, lines, monkeypatch):
    run = make_run()
    monkeypatch.setattr(type(run.runtime), "is_main", False)
    make_task(run).run(run)
    assert run.last_log and not lines.read()


def test_log_task_records_what_samples_and_log_say_and_warns_of_the_latter(
    make_run, make_task, lines, caplog, monkeypatch
):
    run = make_run(log_every_kimg=0.016)
    task = make_task(run)
    wins = Alarm("discriminator_wins", "It wins.", "Add r1.")
    earlier = {"kind": "collapse", "fault": "All alike.", "advice": "Go back."}
    monkeypatch.setattr(task.monitor, "observe_log", lambda record, kimg: [wins])
    task.monitor.load_state_dict(
        task.monitor.state_dict()
        | {"unlogged": {"values": {"samples/diversity": 0.1}, "alarms": [earlier]}}
    )
    for _ in range(2):
        task.meter.add(advance(run, 1), 16, 0.0)
        task.run(run)
    first, second = lines.read()
    assert first["samples/diversity"] == 0.1 and "samples/diversity" not in second
    late = {"kind": "discriminator_wins", "fault": "It wins.", "advice": "Add r1."}
    assert first["alarms"] == [earlier, late] and second["alarms"] == [late]
    assert "At 0.02 kimg: It wins. Add r1." in caplog.messages


def test_log_task_announces_the_length_of_the_run_once(make_run, make_task, clock, caplog):
    caplog.set_level("INFO")
    run = make_run(total_kimg=1.6)
    task = make_task(run, shown=True)
    for _ in range(8):
        result = advance(run, 1)
        clock.now += 2.0
        task.meter.add(result, 16, 0.0)
        task.run(run)
    said = [line for line in caplog.messages if "will take about" in line]
    assert len(said) == 1 and said[0].startswith("8 img/s: 1.6 kimg will take about 3 min, until")
    assert "0.13/1 kimg  ETA 3:04" in caplog.messages[-1]
