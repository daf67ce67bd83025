"""Samples are judged by history: every generator starts from images that are all alike."""

import json
import re

import pytest
import torch
from training.clusters import clusters

from ganforge.config.models import HealthConfig
from ganforge.training.tasks.modes import features
from ganforge.training.tasks.sample_watch import SampleWatch, is_lost_or_stuck

LATE = 1000  # steps


@pytest.mark.parametrize(
    ("values", "checks", "expected"),
    [
        ([], 2, False),
        ([0.1], 2, False),  # one check can be bad luck
        ([0.9, 0.1], 2, False),
        ([0.9, 0.1], 1, True),
        ([0.1], 1, False),  # as every run begins
        ([0.2, 0.3, 0.9, 0.1, 0.1], 2, True),  # lost
        ([0.1, 0.2, 0.3, 0.4], 2, False),  # still improving
        ([0.4, 0.3, 0.3, 0.3], 2, True),  # not improved for half of the checks
        ([0.9, 0.1, 0.9, 0.1], 2, False),
        ([0.5, 0.4, 0.4], 2, True),  # the limit itself is enough
    ],
)
def test_value_is_lost_or_stuck_only_by_its_history(values, checks, expected):
    steps = range(100, 1000, 100)[: len(values)]
    assert is_lost_or_stuck(values, steps, 0.5, checks) is expected


def test_value_is_not_stuck_before_the_steps_have_doubled_since_its_best():
    # Healthy recipes with large batches stay at a tenth of the data's diversity for some time.
    values = [0.11, 0.1, 0.1, 0.1]
    assert not is_lost_or_stuck(values, [100, 130, 160, 199], 0.5, 1)
    assert is_lost_or_stuck(values, [100, 130, 160, 200], 0.5, 1)


def watch(min_diversity=0.0, train=None):
    config = HealthConfig(min_diversity=min_diversity)
    return SampleWatch(config, clusters(128, range(8), 1), train)


def check(watched, *parts):
    """Show samples of so many of eight modes; whether each check sounds a collapse."""
    images = (clusters(64, range(part), 9 + index) for index, part in enumerate(parts))
    verdicts = (watched.observe(img, LATE * n)[1] for n, img in enumerate(images, 1))
    return [found["collapse"] is not None for found in verdicts]


@pytest.mark.parametrize(
    ("parts", "bad"),
    [
        ([1, 1, 2, 2, 3, 5, 8, 8], []),  # as every healthy run begins
        ([8, 8, 2, 8, 2, 8], []),  # bad luck at single checks
        ([1, 4, 8, 8, 8, 8, 2, 2], [7]),  # it had them
        ([2, 2, 2, 2], [2, 3]),  # it never gets them
    ],
)
def test_sample_watch_sounds_for_modes_lost_or_never_learned(parts, bad):
    assert check(watch(), *parts) == [index in bad for index in range(len(parts))]


def test_sample_watch_sounds_for_samples_that_have_become_alike():
    watched, same = watch(min_diversity=0.15), torch.zeros(64, 1, 4, 4)
    assert watched.observe(same, LATE)[1]["collapse"] is None
    assert check(watched, 8) == [False]
    values, verdicts = watched.observe(same, LATE)
    assert values["samples/diversity"] == 0.0
    assert "diversity is 0.00 of the data's" in verdicts["collapse"].fault


def test_sample_watch_measures_the_first_samples_and_does_not_judge_them():
    watched = watch(min_diversity=0.15)
    for _ in range(9):
        values, verdicts = watched.observe(torch.zeros(64, 1, 4, 4), 99)
        assert values.keys() == {"samples/diversity", "samples/coverage"} and verdicts == {}


def test_sample_watch_resumes_its_history_and_says_what_is_missing():
    watched, resumed = watch(), watch()
    assert check(watched, 8, 2) == [False, False]
    resumed.load_state_dict(json.loads(json.dumps(watched.state_dict())))
    alarm = resumed.observe(clusters(64, (2, 5), 4), LATE)[1]["collapse"]
    assert re.search(r"Mode coverage is 0\.2\d .*train\.health\.min_coverage", alarm.fault)
    assert "train.health.rollback: true" in alarm.advice


def test_sample_watch_without_distinct_data_has_nothing_to_say():
    watched = SampleWatch(HealthConfig(), torch.zeros(8, 1, 4, 4), None)
    assert watched.observe(torch.zeros(8, 1, 4, 4), LATE) == ({}, {})


def noise(num, seed):
    return torch.randn(num, 1, 4, 4, generator=torch.Generator().manual_seed(seed))


def test_sample_watch_sounds_at_the_second_check_that_finds_copies():
    train = noise(64, 0)
    watched = SampleWatch(HealthConfig(), train, features(train))
    new, copied = noise(32, 1), torch.cat([train[:16] + 0.01, noise(16, 2)])
    found = [watched.observe(img, LATE) for img in (new, copied, copied, new)]
    assert [values["samples/copies"] for values, _ in found] == [0.0, 0.5, 0.5, 0.0]
    alarms = [verdicts["memorization"] for _, verdicts in found]
    assert [alarm is not None for alarm in alarms] == [False, False, True, False]
    assert "50 % of samples are three times nearer to one" in alarms[2].fault
