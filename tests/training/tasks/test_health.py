"""The health monitor sounds once for what goes wrong, until it is over."""

import json

import pytest
import torch

from ganforge.training.tasks.alarms import Alarm
from ganforge.training.tasks.health import HealthMonitor

WON = {"accuracy/pairs": 1.0, "relative/discriminator_loss": 0.01, "grad_norm/generator": 1.0}
EVEN = {"accuracy/pairs": 0.6, "relative/discriminator_loss": 0.9, "grad_norm/generator": 1.0}
REAL = torch.randn(8, 1, 4, 4, generator=torch.Generator().manual_seed(0))
SAME = torch.zeros(8, 1, 4, 4)


@pytest.fixture
def make(make_run):
    return lambda **health: HealthMonitor(make_run(health=health), REAL)


def kinds(alarms):
    return [alarm.kind for alarm in alarms]


def test_health_monitor_sounds_once_until_the_cause_is_gone(make):
    monitor = make()
    records = (WON, WON, WON, EVEN, WON, WON)
    assert [kinds(monitor.observe_log(record, 1.0)) for record in records] == [
        ["discriminator_wins"],  # 62 steps of 16: the warm-up is over
        [],
        [],
        [],
        ["discriminator_wins"],
        [],
    ]


def test_health_monitor_of_tiny_runs_is_silent(make):
    monitor = make()
    for _ in range(3):
        assert monitor.observe_log(WON, 0.016) == []
        assert monitor.observe_samples(SAME, 3) == []


def test_health_monitor_keeps_measurements_and_alarms_for_the_next_record(make):
    monitor = make(min_diversity=0.2)
    for img, step in ((REAL.flip(0), 200), (SAME, 400)):
        monitor.observe_samples(img, step)
    values, alarms = monitor.take_unlogged()
    assert values["samples/diversity"] == 0.0
    assert [alarm["kind"] for alarm in alarms] == ["collapse"]
    assert monitor.take_unlogged() == ({}, [])


def test_health_monitor_resumes_where_it_was(make):
    monitor, resumed = make(), make()
    monitor.observe_log(WON, 1.0)
    monitor.observe_samples(REAL.flip(0), 200)
    monitor.observe_samples(SAME, 300)
    state = json.loads(json.dumps(monitor.state_dict()))
    resumed.load_state_dict(state)
    assert resumed.state_dict() == state
    assert resumed.observe_log(WON, 1.0) == [] and resumed.observe_samples(SAME, 400) == []
    assert resumed.take_unlogged()[1][0]["kind"] == "collapse"


def test_health_monitor_that_goes_back_sounds_again_and_keeps_the_reason(make):
    monitor, alarm = make(), Alarm("collapse", "All alike.", "Go back.")
    monitor.observe_samples(REAL.flip(0), 200)
    before = monitor.state_dict()
    assert kinds(monitor.observe_samples(SAME, 300)) == ["collapse"]
    monitor.go_back(before, alarm)
    (noted,) = monitor.take_unlogged()[1]
    assert noted == {"kind": "collapse", "fault": "All alike.", "advice": "Go back."}
    assert kinds(monitor.observe_samples(SAME, 300)) == ["collapse"]


def test_health_monitor_names_a_loader_that_starves_training_and_keeps_no_trace_of_it(make):
    slow, fast = make(), make()
    (alarm,) = slow.observe_log(EVEN | {"data_wait_fraction": 0.6}, 1.0)
    assert alarm.kind == "loader_bound" and "60 % of the time" in alarm.fault
    assert fast.observe_log(EVEN | {"data_wait_fraction": 0.01}, 1.0) == []
    assert slow.state_dict() == fast.state_dict()  # time must not be in a checkpoint


def test_health_monitor_names_cores_that_others_take_from_several_threads(make, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    busy, quiet = make(), make()
    (alarm,) = busy.observe_log(EVEN | {"core_wait_fraction": 0.5}, 1.0)
    assert alarm.kind == "cores_taken" and "waits for a core 50 % of the time" in alarm.fault
    assert "fewer threads than 4" in alarm.advice
    assert quiet.observe_log(EVEN | {"core_wait_fraction": 0.05}, 1.0) == []
    assert busy.state_dict() == quiet.state_dict()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert make().observe_log(EVEN | {"core_wait_fraction": 0.5}, 1.0) == []


def test_health_monitor_watches_the_phases_that_train_generating_networks(make):
    monitor = make()
    monitor.observe_log(EVEN | {"grad_norm/discriminator": 1e9}, 1.0)
    assert monitor.state_dict()["game"]["means"]["log_norm"] == 0.0


def test_health_monitor_that_is_disabled_is_silent(make):
    monitor = make(enabled=False)
    assert monitor.observe_log(WON | {"data_wait_fraction": 1.0}, 100.0) == []
    assert monitor.observe_samples(SAME, 1000) == []
    assert monitor.take_unlogged() == ({}, [])
