"""The log task writes one record to the file, the trackers, the display and the monitor."""

import pytest
from training.toy import advance

from ganforge.training.engine.meter import Meter
from ganforge.training.tasks.display import Display
from ganforge.training.tasks.health import Alarm
from ganforge.training.tasks.log import LogTask, report_alarms


@pytest.fixture
def make_task(lines, make_monitor):
    def make(run):
        return LogTask(Meter(run.runtime), Display(1.0, False), lines, make_monitor(run), 0)

    return make


def test_log_task_is_due_at_its_interval(make_run, make_task):
    run = make_run(log_every_kimg=0.032)
    task, due = make_task(run), []
    for _ in range(4):
        run.progress.advance(16)
        due.append(task.due(run))
    assert due == [False, True, False, True]


def test_log_task_records_losses_rates_and_progress(make_run, make_task, lines):
    run = make_run()
    task = make_task(run)
    task.meter.add(advance(run, 2), 32, 0.0)
    task.run(run)
    (record,) = lines.read()
    assert (record["step"], record["nimg"], record["kimg"]) == (2, 32, 0.032)
    assert record["loss/generator/adversarial"] > 0
    assert record["lr/generator"] == record["lr/discriminator"] == 1e-2
    assert run.last_log.items() <= record.items()
    assert run.extra["health"]["means"].keys() == {"logits/real", "logits/gen"}


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


def test_log_task_warns_when_the_discriminator_wins(make_run, make_task, lines, caplog):
    run = make_run(health={"max_logit_gap": 1e-9})
    task = make_task(run)
    task.meter.add(advance(run, 1), 16, 0.0)
    task.run(run)
    assert "At 0.0 kimg: The discriminator" in caplog.text
    assert lines.read()[1]["alarm"] in ("discriminator_wins", "discriminator_loses")


def test_report_alarms_warns_and_records_each(make_run, lines, caplog):
    run = make_run()
    run.progress.advance(1500)
    report_alarms(run, lines, [Alarm("collapse", "All alike.")])
    assert "At 1.5 kimg: All alike." in caplog.messages
    assert lines.read() == [{"nimg": 1500, "kimg": 1.5, "alarm": "collapse"}]
