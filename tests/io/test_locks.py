import os
import time

import pytest

from ganforge.io.locks import lock_path, unlock


def test_lock_of_a_folder_is_held_once(tmp_path):
    lock = lock_path(tmp_path, wait=False)
    assert lock is not None
    assert lock_path(tmp_path, wait=False) is None
    unlock(lock)
    again = lock_path(tmp_path, wait=True)
    assert again is not None
    unlock(again)
    unlock(None)


def test_lock_of_a_folder_that_is_gone_fails(tmp_path):
    assert lock_path(tmp_path / "no", wait=True) is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_lock_is_free_when_its_process_ends_though_a_forked_one_lives(tmp_path):
    lock = lock_path(tmp_path, wait=False)
    child = os.fork()
    if not child:
        time.sleep(30)
        os._exit(0)
    try:
        assert lock_path(tmp_path, wait=False) is None
        unlock(lock)  # closes the file, as the end of this process would
        deadline, again = time.monotonic() + 10, None
        while again is None and time.monotonic() < deadline:  # until the child has begun
            again = lock_path(tmp_path, wait=False)
        assert again is not None
        unlock(again)
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
