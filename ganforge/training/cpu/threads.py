"""How long the threads of a process on a CPU spin while they wait.

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
