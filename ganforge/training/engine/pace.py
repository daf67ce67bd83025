"""How fast a run trains, measured so that one slow moment does not change the forecast."""

import statistics
import time
from collections import deque
from collections.abc import Callable

# Lazy penalties run every 8 or 16 steps: a block has its share of them.
_BLOCK_STEPS = 16
_BLOCKS = 32
# Before a block is complete, this many steps that take so long together give a first figure.
_FIRST_STEPS = 3
_FIRST_SEC = 5.0


class Pace:
    """Seconds per step and frame of its clips: the median over blocks of steps.

    Of still images, which are one frame, these are the seconds per step.

    Compilation, sample pictures, evaluations and moments in which another program had the
    processor fall out of the median. The first step of a launch, which compiles, is not counted.

    Args:
        clock: () -> seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._blocks: deque[float] = deque(maxlen=_BLOCKS)
        self._start: float | None = None
        self._steps = self._frames = 0

    def step_ends(self, num_frames: int = 1) -> None:
        """Count one step on clips of so many frames."""
        now = self._clock()
        if self._start is None:
            self._start = now
            return
        self._steps += 1
        self._frames += num_frames
        if self._steps == _BLOCK_STEPS:
            self._blocks.append((now - self._start) / self._frames)
            self._start, self._steps, self._frames = now, 0, 0

    @property
    def sec_per_frame(self) -> float | None:
        """None until enough steps have been measured."""
        if self._blocks:
            return statistics.median(self._blocks)
        if self._start is None or self._steps < _FIRST_STEPS:
            return None
        spent = self._clock() - self._start
        return spent / self._frames if spent >= _FIRST_SEC else None
