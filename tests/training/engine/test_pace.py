"""The pace of a run: a median of blocks, without compilation and slow moments."""

import pytest

from ganforge.training.engine.pace import Pace


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def paced(*seconds):
    clock = Clock()
    pace = Pace(clock)
    for each in seconds:
        clock.now += each
        pace.step_ends()
    return pace


def test_pace_leaves_out_the_first_step_which_compiles():
    assert paced(60.0, *[0.5] * 16).sec_per_frame == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ((9.0,), None),
        ((9.0, 4.0, 4.0), None),  # two steps can be an accident
        ((9.0, 1.0, 1.0, 1.0), None),  # three seconds too
        ((9.0, 3.0, 2.0, 4.0), 3.0),
    ],
)
def test_pace_before_a_block_is_complete_needs_steps_and_seconds(seconds, expected):
    assert paced(*seconds).sec_per_frame == expected


def test_pace_counts_a_lazy_penalty_with_its_share():
    steps = [1.0] * 15 + [17.0]
    assert paced(0.0, *steps * 3).sec_per_frame == pytest.approx(2.0)


def test_pace_hardly_changes_while_another_program_has_the_processor():
    quiet = [0.1] * 16 * 9
    assert paced(0.0, *quiet, *[2.0] * 16 * 4).sec_per_frame == pytest.approx(0.1)


def test_pace_follows_a_lasting_change():
    assert paced(0.0, *[0.1] * 16 * 9, *[2.0] * 16 * 20).sec_per_frame == pytest.approx(2.0)


def test_pace_is_that_of_a_frame_where_clips_grow():
    clock, pace = Clock(), None
    pace = Pace(clock)
    pace.step_ends(4)
    for frames in [4] * 16 + [8] * 16 + [16] * 16:
        clock.now += 0.1 * frames
        pace.step_ends(frames)
    assert pace.sec_per_frame == pytest.approx(0.1)
