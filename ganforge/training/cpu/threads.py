"""The threads of a process on a CPU: how many there are, and how long they spin while they wait.

This module imports no torch: OpenMP reads its environment variables when torch loads it.
"""

import os
from collections.abc import MutableMapping

SPIN_COUNT = 10_000
"""Turns of the loop in which a waiting OpenMP thread spins before it sleeps: under a millisecond.

By default libgomp spins 300,000 turns. When another program takes a core, the thread that the
others wait for does not run, and they keep it from running: training becomes many times slower
(docs/engine.md, "Threads").
"""


def limit_spinning(environ: MutableMapping[str, str] = os.environ) -> None:
    """Let waiting threads sleep soon, unless the user's environment says how they wait.

    It must be called before torch is imported, by programs only: it changes the environment.
    """
    if "OMP_WAIT_POLICY" not in environ:
        environ.setdefault("GOMP_SPINCOUNT", str(SPIN_COUNT))


def cpu_threads() -> int:
    """The number of threads of this process: its share of the available cores.

    `accelerate launch` and torchrun set OMP_NUM_THREADS=1, which would leave cores idle.
    GANFORGE_NUM_THREADS overrides the number.
    """
    chosen = os.environ.get("GANFORGE_NUM_THREADS")
    if chosen:
        return max(1, int(chosen))
    cores = len(os.sched_getaffinity(0))
    return max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
