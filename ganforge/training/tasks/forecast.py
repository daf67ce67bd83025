"""How long a run will take, by the pace that it has shown."""

import time

from ganforge.training.state.run_state import TrainingRun


def seconds_left(run: TrainingRun, sec_per_step: float, budget_sec: float | None) -> float:
    """Training time until the run ends: by its length, or because `budget_sec` are used up."""
    config = run.config.train
    nimg_left = max(0, round(config.total_kimg * 1000) - run.progress.nimg)
    left = -(-nimg_left // config.batch_size) * sec_per_step
    return left if budget_sec is None else min(left, budget_sec)


def announcement(
    run: TrainingRun, sec_per_step: float, budget_sec: float | None, now: float
) -> str:
    """One line for the start of a run: speed, length and end.

    Args:
        run: the run.
        sec_per_step: its pace.
        budget_sec: what is left of `train.max_minutes`; None without a limit.
        now: seconds since 1970.
    """
    config, done = run.config.train, run.progress.kimg
    left = seconds_left(run, sec_per_step, budget_sec)
    end = min(config.total_kimg, done + left / sec_per_step * config.batch_size / 1000)
    length = f"{end - done:.3g} more kimg" if done > 0.1 * end else f"{end:.3g} kimg"
    clock = time.strftime(
        "%H:%M" if left < 20 * 3600 else "%d %b %H:%M", time.localtime(now + left)
    )
    line = (
        f"{config.batch_size / sec_per_step:.3g} img/s: {length} will take about "
        f"{shown_duration(left)}, until {clock}"
    )
    if end < 0.99 * config.total_kimg:
        line += f"; train.max_minutes ends the run before its {config.total_kimg:g} kimg"
    return f"{line}."


def shown_duration(seconds: float) -> str:
    """As one says it: 40 s, 12 min, 3 h 20 min, 2 days 4 h."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    if minutes < 90:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    hours = round(minutes / 60)
    return f"{hours // 24} days {hours % 24} h"


def shown_clock(seconds: float) -> str:
    """As a clock shows it: 4:29, or 1:22:02."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"
