"""The cores that belong to this process."""

import os


def own_cores() -> int:
    """The number of cores of this process: its share of the available ones.

    `accelerate launch` and torchrun set OMP_NUM_THREADS=1, which would leave cores idle.
    GANFORGE_NUM_THREADS overrides the number.
    """
    chosen = os.environ.get("GANFORGE_NUM_THREADS")
    if chosen:
        return max(1, int(chosen))
    cores = len(os.sched_getaffinity(0))
    return max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
