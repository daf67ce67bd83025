"""Seeds, intervals and the learning-rate factor are pure functions of progress."""

import math

import pytest

from ganforge.config.schedules import ScheduleConfig
from ganforge.training.engine.progress import Progress, lr_factor, shown_kimg, slot_seed


def test_slot_seed_is_pinned_and_differs_in_every_argument():
    seeds = {
        slot_seed(*a)
        for a in ((0, 0, "a", 0), (1, 0, "a", 0), (0, 1, "a", 0), (0, 0, "b", 0), (0, 0, "a", 1))
    }
    assert len(seeds) == 5
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert slot_seed(0, 0, "generator/0", 0) == 645761061778669328


def test_progress_crosses_each_multiple_once_whatever_the_batch_size():
    progress, crossed = Progress(), []
    for _ in range(10):
        progress.advance(300)
        if progress.crossed(1, 300):
            crossed.append(progress.nimg)
    assert crossed == [1200, 2100, 3000]


@pytest.mark.parametrize(
    ("schedule", "kimg", "expected"),
    [
        ({"name": "constant"}, 5, 1.0),
        ({"name": "constant", "warmup_kimg": 10}, 5, 0.5),
        ({"name": "linear"}, 25, 0.75),
        ({"name": "linear", "decay_start_kimg": 50}, 75, 0.5),
        ({"name": "linear", "final_factor": 0.2}, 100, 0.2),
        ({"name": "cosine"}, 50, 0.5),
        ({"name": "cosine", "decay_end_kimg": 50}, 60, 0.0),
        ({"name": "cosine"}, 25, (1 + math.cos(math.pi / 4)) / 2),
        ({"name": "step", "step_kimg": 10}, 9.999, 1.0),
        ({"name": "step", "step_kimg": 10}, 10, 0.5),
        ({"name": "step", "step_kimg": 10}, 35, 0.125),
        ({"name": "step", "step_kimg": 10, "factor": 0.1}, 25, 0.01),
        ({"name": "step", "step_kimg": 2, "warmup_kimg": 8}, 4, 0.5 * 0.25),
    ],
)
def test_lr_factor_follows_the_schedule(schedule, kimg, expected):
    factor = lr_factor(ScheduleConfig(**schedule), kimg * 1000, total_kimg=100)
    assert factor == pytest.approx(expected)


def test_schedule_that_ends_before_it_begins_is_refused():
    with pytest.raises(ValueError, match="decay_end_kimg=2 is before decay_start_kimg=4"):
        ScheduleConfig(name="linear", decay_start_kimg=4, decay_end_kimg=2)


@pytest.mark.parametrize(
    ("kimg", "total", "expected"),
    [(0.032, 0.04, "0.032"), (0.5, 6, "0.50"), (12.52, 120, "12.5"), (25000, 25000, "25000.0")],
)
def test_shown_kimg_has_the_decimals_that_a_run_of_this_length_needs(kimg, total, expected):
    assert shown_kimg(kimg, total) == expected
