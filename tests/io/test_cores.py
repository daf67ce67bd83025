import os
import threading
import time
from pathlib import Path

import pytest

from ganforge.io import cores as cores_module
from ganforge.io.cores import core_wait_sec, own_cores


def test_cores_are_the_share_of_this_rank_unless_they_are_set(monkeypatch):
    monkeypatch.delenv("GANFORGE_NUM_THREADS", raising=False)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(8)))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    assert own_cores() == 2
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "16")
    assert own_cores() == 1
    assert own_cores(chosen=3) == 3
    monkeypatch.setenv("GANFORGE_NUM_THREADS", "5")
    assert own_cores(chosen=3) == 5


def test_core_wait_grows_when_another_process_has_the_same_core():
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        rival = os.fork()
        if rival == 0:
            end = time.monotonic() + 1
            while time.monotonic() < end:
                pass
            os._exit(0)
        before, begin = core_wait_sec(), time.monotonic()
        while time.monotonic() < begin + 0.4:
            pass
        after, elapsed = core_wait_sec(), time.monotonic() - begin
        os.waitpid(rival, 0)
    finally:
        os.sched_setaffinity(0, cores)
    if not before and not after:
        pytest.skip("this system does not count it")
    assert 0.05 < after - before <= elapsed * threading.active_count() + 0.1


def test_core_wait_is_unknown_where_the_system_does_not_count_it(monkeypatch):
    monkeypatch.setattr(cores_module, "_TASKS", Path("/nowhere"))
    assert core_wait_sec() is None
