"""A forecast says what people want to know: how fast, how long, until when."""

import time

import pytest

from ganforge.config.data import ClipConfig
from ganforge.training.tasks.forecast import (
    announcement,
    seconds_left,
    shown_clock,
    shown_duration,
)

NOON = 1_700_049_600  # of some day


@pytest.fixture
def greenwich(monkeypatch):
    monkeypatch.setattr(time, "localtime", time.gmtime)


def test_seconds_left_are_those_of_the_remaining_steps_or_of_the_budget(make_run):
    run = make_run(total_kimg=0.1)  # 7 steps of 16
    run.progress.advance(16)
    assert seconds_left(run, 2.0, None) == 12.0
    assert seconds_left(run, 2.0, 5.0) == 5.0
    assert seconds_left(run, 2.0, 60.0) == 12.0


def growing(run):
    """The run, on clips of 4, then 8, then 16 frames."""
    frames = {"from": 4, "to": 16, "over_kimg": 8, "shape": "doubling"}
    clip = ClipConfig(num_frames=frames)
    data = run.config.data.model_copy(update={"clip": clip})
    run.config = run.config.model_copy(update={"data": data})
    return run


def test_seconds_left_grow_with_the_frames_of_the_clips_to_come(make_run):
    run = growing(make_run(total_kimg=16))  # 1,000 steps of 16: 250 of 4, 250 of 8, 500 of 16
    assert seconds_left(run, 0.01, None) == pytest.approx(0.01 * (250 * 4 + 250 * 8 + 500 * 16))
    run.progress.nimg = 8000
    assert seconds_left(run, 0.01, None) == pytest.approx(0.01 * 500 * 16)


def test_announcement_of_growing_clips_gives_the_speed_of_now(make_run, greenwich):
    line = announcement(growing(make_run(total_kimg=16)), 0.125, None, NOON)
    assert line == "32 img/s: 16 kimg will take about 23 min, until 12:22."


def test_announcement_of_a_new_run_gives_speed_length_and_end(make_run, greenwich):
    line = announcement(make_run(total_kimg=16), 0.5, None, NOON)
    assert line == "32 img/s: 16 kimg will take about 8 min, until 12:08."


def test_announcement_of_a_resumed_run_counts_what_is_left(make_run, greenwich):
    run = make_run(total_kimg=16)
    run.progress.nimg = 8000
    line = announcement(run, 0.5, None, NOON)
    assert line == "32 img/s: 8 more kimg will take about 4 min, until 12:04."


def test_announcement_says_where_the_time_limit_ends_the_run(make_run, greenwich):
    line = announcement(make_run(total_kimg=16, max_minutes=2), 0.5, 120.0, NOON)
    assert line == (
        "32 img/s: 3.84 kimg will take about 2 min, until 12:02; train.max_minutes ends the run "
        "before its 16 kimg."
    )


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (40, "40 s"),
        (100, "2 min"),
        (89 * 60, "89 min"),
        (200 * 60, "3 h 20 min"),
        (52 * 3600, "2 days 4 h"),
    ],
)
def test_shown_duration_is_as_one_says_it(seconds, expected):
    assert shown_duration(seconds) == expected


@pytest.mark.parametrize(("seconds", "expected"), [(5.4, "0:05"), (269, "4:29"), (4922, "1:22:02")])
def test_shown_clock_has_hours_only_where_there_are_any(seconds, expected):
    assert shown_clock(seconds) == expected
