import errno
import fcntl
import logging
import os
import signal
import socket
import subprocess
import sys

import pytest

from ganforge.errors import ConfigError
from ganforge.training.state.run_lock import LOCK_NAME, lock_run_dir

# Holds the lock, and forks a child that outlives it, as reader processes may.
HOLDER = """
import os, sys, time
from pathlib import Path
from ganforge.training.state.run_lock import lock_run_dir
with lock_run_dir(Path(sys.argv[1])):
    child = os.fork()
    if child:
        print(child, flush=True)
    time.sleep(120)
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "run")],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    process.child = int(process.stdout.readline())
    yield process
    process.kill()
    process.wait()
    os.kill(process.child, signal.SIGKILL)


def test_lock_held_by_another_run_names_it_and_the_folder(tmp_path, holder):
    folder = tmp_path / "run"
    found = rf"pid {holder.pid}, host {socket.gethostname()}\) uses {folder}.*another name or run_"
    with pytest.raises(ConfigError, match=found), lock_run_dir(folder):
        pass


def test_lock_of_a_killed_run_is_free_at_once_though_its_readers_live(tmp_path, holder):
    holder.kill()
    holder.wait()
    os.kill(holder.child, 0)
    with lock_run_dir(tmp_path / "run"):
        assert f"pid {os.getpid()}," in (tmp_path / "run" / LOCK_NAME).read_text()


def test_lock_can_be_taken_again_after_the_run(tmp_path):
    for _ in range(2):
        with lock_run_dir(tmp_path):
            pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_lock_without_support_of_the_file_system_warns(tmp_path, monkeypatch, caplog, number):
    def refuse(*arguments):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "lockf", refuse)
    with caplog.at_level(logging.WARNING), lock_run_dir(tmp_path):
        pass
    assert f"{tmp_path} cannot be locked" in caplog.text


def test_lock_in_a_place_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"Cannot write to the run directory .*run_dir=PATH"):
        with lock_run_dir(tmp_path / "file" / "run"):
            pass
