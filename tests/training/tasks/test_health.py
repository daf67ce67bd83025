"""The health monitor sounds for what goes wrong, and for nothing that healthy runs do."""

import json
import re

import pytest
import torch
from training.clusters import clusters

from ganforge.config.models import HealthConfig
from ganforge.training.tasks.health import HealthMonitor, modes_are_missing


def test_health_monitor_sounds_collapse_once_until_it_clears():
    real = torch.randn(8, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    monitor = HealthMonitor(HealthConfig(min_diversity=0.2), real)
    good, bad = real.flip(0), torch.zeros(8, 1, 4, 4)
    assert monitor.observe_samples(good) == []
    assert [a.kind for a in monitor.observe_samples(bad)] == ["collapse"]
    assert monitor.observe_samples(bad) == []
    monitor.observe_samples(good)
    other = HealthMonitor(HealthConfig(min_diversity=0.2), real)
    other.load_state_dict(json.loads(json.dumps(monitor.state_dict())))
    assert [a.kind for a in other.observe_samples(bad)] == ["collapse"]


def check(monitor, *parts):
    """Show samples of so many of eight modes; whether each check sounds a collapse."""
    images = (clusters(64, range(part), 9 + index) for index, part in enumerate(parts))
    return [any(a.kind == "collapse" for a in monitor.observe_samples(img)) for img in images]


def lost_modes_monitor():
    return HealthMonitor(HealthConfig(min_diversity=0.0), clusters(128, range(8), 1))


@pytest.mark.parametrize(
    ("parts", "expected_at"),
    [
        ([1, 1, 2, 2, 3, 5, 8, 8], None),  # as every healthy run begins
        ([8, 8, 2, 8, 2, 8], None),  # bad luck at single checks
        ([1, 4, 8, 8, 8, 8, 2, 2], 7),  # it had them
        ([2, 2, 2, 2], 2),  # it never gets them
    ],
)
def test_health_monitor_sounds_for_modes_lost_or_never_learned(parts, expected_at):
    sounded = check(lost_modes_monitor(), *parts)
    assert sounded == [index == expected_at for index in range(len(parts))]


def test_health_monitor_resumes_its_history_and_says_what_is_missing():
    monitor = lost_modes_monitor()
    assert check(monitor, 8, 2) == [False, False]
    resumed = lost_modes_monitor()
    resumed.load_state_dict(json.loads(json.dumps(monitor.state_dict())))
    (alarm,) = resumed.observe_samples(clusters(64, (2, 5), 4))
    assert re.search(r"Mode coverage is 0\.2\d .*train\.health\.min_coverage", alarm.message)
    assert "train.health.rollback: true" in alarm.message


def test_health_monitor_names_who_wins():
    config = HealthConfig(window_kimg=1.0, max_logit_gap=10.0)
    monitor = HealthMonitor(config, torch.randn(8, 1, 4, 4))
    record = {"logits/real": 8.0, "logits/gen": -8.0}
    assert [a.kind for a in monitor.observe_log(record, 1.0)] == ["discriminator_wins"]
    swapped = {"logits/real": -8.0, "logits/gen": 8.0}
    assert [a.kind for a in monitor.observe_log(swapped, 1.0)] == ["discriminator_loses"]


@pytest.mark.parametrize(
    ("coverage", "expected"),
    [
        ([], False),
        ([0.1], False),  # one check can be bad luck
        ([0.9, 0.1], False),
        ([0.2, 0.3, 0.9, 0.1, 0.1], True),  # lost
        ([0.1, 0.2, 0.3, 0.4], False),  # still improving
        ([0.4, 0.3, 0.3, 0.3], True),  # not improved for half of the checks
        ([0.9, 0.1, 0.9, 0.1], False),
        ([0.5, 0.4, 0.4], True),  # the limit itself is enough
    ],
)
def test_modes_are_missing_after_two_low_checks_if_lost_or_stuck(coverage, expected):
    assert modes_are_missing(coverage, 0.5) is expected


def test_health_monitor_averages_logits_over_its_window():
    config = HealthConfig(window_kimg=10.0, max_logit_gap=10.0)
    monitor = HealthMonitor(config, torch.randn(8, 1, 4, 4))
    level, spike = {"logits/real": 0.0, "logits/gen": 0.0}, {"logits/real": 40.0, "logits/gen": 0.0}
    assert monitor.observe_log(level, 1.0) == []
    assert monitor.observe_log(spike, 1.0) == []  # a tenth of the window: the mean gap is 4
    assert monitor.observe_log(spike, 5.0)[0].kind == "discriminator_wins"
    assert monitor.observe_log(spike, 5.0) == []  # it has sounded
    assert monitor.observe_log(level, 10.0) == []
    assert monitor.observe_log(spike, 10.0)[0].kind == "discriminator_wins"


def test_health_monitor_that_is_disabled_is_silent():
    monitor = HealthMonitor(HealthConfig(enabled=False), clusters(128, range(8), 1))
    assert monitor.observe_log({"logits/real": 1e9, "logits/gen": 0.0}, 1.0) == []
    assert monitor.observe_samples(torch.zeros(8, 1, 4, 4)) == []


def test_health_monitor_without_logits_or_distinct_data_has_nothing_to_say():
    monitor = HealthMonitor(HealthConfig(), torch.zeros(8, 1, 4, 4))
    assert monitor.observe_log({"loss/generator/adversarial": 1.0}, 1.0) == []
    assert monitor.observe_samples(torch.zeros(8, 1, 4, 4)) == []
