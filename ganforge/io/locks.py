"""Locks of files and folders that end with the process that took them."""

import os
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has no flock.
    fcntl = None  # type: ignore[assignment]

_held: set[int] = set()


def lock_path(path: Path, *, wait: bool, create: bool = False) -> int | None:
    """A descriptor that locks a file or folder until `unlock`, or None where locking fails.

    A lock rather than a process number: it ends with the process, on whichever machine that runs.

    Args:
        path: a file or folder. Over NFS, only the lock of a file reaches other machines.
        wait: wait for the process that holds the lock; otherwise fail.
        create: make the file if it is missing.
    """
    if fcntl is None:
        return None
    try:
        flags = os.O_RDONLY if path.is_dir() else os.O_RDWR
        descriptor = os.open(path, flags | (os.O_CREAT if create else 0) | os.O_CLOEXEC, 0o666)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        os.close(descriptor)
        return None
    _held.add(descriptor)
    return descriptor


def unlock(descriptor: int | None) -> None:
    """Give up a lock; None, and a lock of the parent process, are left alone."""
    if descriptor is not None and descriptor in _held:
        _held.remove(descriptor)
        os.close(descriptor)


def _leave_to_parent() -> None:
    """Close the locks that a forked process shares; it could hold them after its parent's end."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


if fcntl is not None:
    os.register_at_fork(after_in_child=_leave_to_parent)
