"""How long a run will take, by the pace that it has shown."""

import time

from ganforge.data.views import window_at
from ganforge.training.state.run_state import TrainingRun

_POINTS = 100
"""Of the rest of a run, at which the length of clips is looked up."""


def seconds_left(run: TrainingRun, sec_per_frame: float, budget_sec: float | None) -> float:
    """Training time until the run ends: by its length, or because `budget_sec` are used up.

    `sec_per_frame` are the seconds of a step for each frame of its clips, whose number may follow
    a schedule; a still image is one frame.
    """
    config = run.config.train
    nimg_left = max(0, _total_nimg(run) - run.progress.nimg)
    left = -(-nimg_left // config.batch_size) * sec_per_frame * _mean_frames(run)
    return left if budget_sec is None else min(left, budget_sec)


def _total_nimg(run: TrainingRun) -> int:
    return round(run.config.train.total_kimg * 1000)


def _frames_at(run: TrainingRun, nimg: float) -> int:
    """Frames of each clip that a step reads after `nimg` images."""
    clip = run.config.data.clip
    return run.spec.num_frames if clip is None else window_at(clip, int(nimg)).num_frames


def _mean_frames(run: TrainingRun) -> float:
    """Frames of a clip, averaged over what is left of the run."""
    begin, end = run.progress.nimg, _total_nimg(run)
    points = ((number + 0.5) / _POINTS for number in range(_POINTS))
    return sum(_frames_at(run, begin + share * (end - begin)) for share in points) / _POINTS


def announcement(
    run: TrainingRun, sec_per_frame: float, budget_sec: float | None, now: float
) -> str:
    """One line for the start of a run: speed, length and end.

    Args:
        run: the run.
        sec_per_frame: its pace, as for `seconds_left`.
        budget_sec: what is left of `train.max_minutes`; None without a limit.
        now: seconds since 1970.
    """
    config, done = run.config.train, run.progress.kimg
    left = seconds_left(run, sec_per_frame, budget_sec)
    rest = config.total_kimg - done
    share = left / max(seconds_left(run, sec_per_frame, None), 1e-9)
    end = min(config.total_kimg, done + share * rest)
    sec_per_step = sec_per_frame * _frames_at(run, run.progress.nimg)
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
