"""The lock that allows one run at a time in a run directory."""

import contextlib
import errno
import fcntl
import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from ganforge.errors import ConfigError

log = logging.getLogger(__name__)
LOCK_NAME = ".lock"
_HELD = (errno.EACCES, errno.EAGAIN)
_UNSUPPORTED = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


@contextlib.contextmanager
def lock_run_dir(folder: Path) -> Iterator[None]:
    """Create a run directory and lock it until the context or the process ends.

    This is a POSIX record lock: the kernel drops it when the process dies, and forked reader
    processes do not share it, unlike a lock of flock(2). The lock file stays behind, unlocked.

    Raises:
        ConfigError: another run holds the lock, or the directory cannot be written.
    """
    descriptor = _open(folder)
    try:
        _acquire(descriptor, folder)
        yield
    finally:
        os.close(descriptor)  # which also unlocks


def _open(folder: Path) -> int:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as err:
        raise ConfigError(
            f"Cannot write to the run directory {folder}: {err.strerror}. Choose another with "
            f"run_dir=PATH, or make room or correct its permissions."
        ) from err


def _acquire(descriptor: int, folder: Path) -> None:
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as err:
        if err.errno in _HELD:
            holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip()
            raise ConfigError(
                f"Another run ({holder or 'of unknown pid'}) uses {folder}. Wait for it to end or "
                f"stop it, or give this run another name or run_dir."
            ) from err
        if err.errno not in _UNSUPPORTED:
            raise
        log.warning(
            "%s cannot be locked: %s. Make sure that no other run uses it.", folder, err.strerror
        )
        return
    os.ftruncate(descriptor, 0)
    with contextlib.suppress(OSError):  # a full disk: the message then names no holder
        os.pwrite(descriptor, f"pid {os.getpid()}, host {socket.gethostname()}\n".encode(), 0)
