"""The cores that belong to this process, and how long it waits for them."""

import contextlib
import os
from pathlib import Path
from typing import Literal

_TASKS = Path("/proc/self/task")


def own_cores(chosen: int | Literal["auto"] = "auto") -> int:
    """The number of cores that this process uses: `chosen`, or its share of the available ones.

    `accelerate launch` and torchrun set OMP_NUM_THREADS=1, which would leave cores idle.
    GANFORGE_NUM_THREADS overrides both.
    """
    override = os.environ.get("GANFORGE_NUM_THREADS")
    if override:
        return max(1, int(override))
    if chosen != "auto":
        return chosen
    cores = len(os.sched_getaffinity(0))
    return max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def core_wait_sec() -> float | None:
    """Seconds for which the threads of this process wanted a core and had none, in all.

    Programs that take the cores make it grow. None where the system does not count it (Linux does).
    """
    total, is_counted = 0.0, False
    for path in _TASKS.glob("*/schedstat"):
        with contextlib.suppress(OSError, IndexError, ValueError):  # the thread may have ended
            total += int(path.read_text().split()[1]) / 1e9
            is_counted = True
    return total if is_counted else None
