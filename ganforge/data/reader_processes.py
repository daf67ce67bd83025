"""Reader processes of a loader: sharing memory with them, and waiting for them.

torch reports what goes wrong there in a traceback of a thread, or not at all and waits for ever.
"""

import errno
import logging
import os
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor
from torch.utils.data import get_worker_info

from ganforge.errors import DataError, GanforgeError
from ganforge.io.cores import own_cores

logger = logging.getLogger(__name__)
T = TypeVar("T")
CHECK_EVERY_SEC = 5
"""How often a wait looks whether the run is to stop: the DataLoader's `timeout`."""
_WARN_EVERY_SEC = 60
_STOP_AFTER_SEC = 30
# A socket's name has at most 107 bytes; multiprocessing adds /pymp-xxxxxxxx/listener-xxxxxxxx.
_MAX_TEMPORARY = 107 - 33
MAX_READERS = 8
"""More readers rarely help, and each takes about 0.34 GB."""
_TIMED_OUT = "DataLoader timed out"


def num_readers(workers: int | Literal["auto"]) -> int:
    """The number of reader processes that `data.workers` means on this machine."""
    if workers != "auto":
        return workers
    return min(max(own_cores() - 1, 1), MAX_READERS) if torch.cuda.is_available() else 1


def check_temporary_folder() -> None:
    """Refuse a folder in which reader processes cannot hand over memory: they would wait for ever.

    Raises:
        DataError: its path is too long for the name of a socket below it.
    """
    folder = tempfile.gettempdir()
    if len(os.fsencode(folder)) > _MAX_TEMPORARY:
        raise DataError(
            f"The temporary folder {folder} has a path of {len(folder)} characters; reader "
            f"processes can use at most {_MAX_TEMPORARY}. Set TMPDIR to a shorter one, or set "
            f"data.workers: 0."
        )


def ignore_signals(worker: int) -> None:
    """Ignore the signals that stop a run, which a terminal or Slurm sends to workers too.

    The run needs their data until its checkpoint is written; they end with it.
    """
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def share(values: Mapping[str, Any]) -> None:
    """In a reader process, move tensors to shared memory, where torch would do so in a thread.

    Raises:
        DataError: there is not enough of it, or too few files may be open.
    """
    if get_worker_info() is None:
        return
    for value in values.values():
        if isinstance(value, Tensor):
            try:
                value.share_memory_()  # type: ignore[no-untyped-call]
            except (RuntimeError, OSError) as err:
                raise DataError(_sharing_fault(err)) from err


def as_data_error(err: GanforgeError | OSError) -> GanforgeError:
    """An error of reading a batch as one that survives the way to the training process."""
    if isinstance(err, GanforgeError):
        return err
    if err.errno == errno.EMFILE:
        return DataError(_sharing_fault(err))
    return DataError(
        f"Images cannot be read ({err}). Check the disk or the network, and run again."
    )


def _sharing_fault(err: Exception) -> str:
    if getattr(err, "errno", None) == errno.EMFILE or "Too many open files" in str(err):
        return (
            f"A reader process may not open more files ({err}). Raise the limit (`ulimit -n 4096` "
            f"before the run), or set data.workers: 0."
        )
    return (
        f"Shared memory (/dev/shm) is full, through which reader processes hand over images "
        f"({err}). Allow more (docker run --shm-size=2g, or --ipc=host), lower data.workers, or "
        f"set data.workers: 0, which needs none."
    )


def wait_for(
    results: Iterator[T], location: str, workers: int, is_stopping: Callable[[], bool]
) -> T:
    """The next result of reader processes, however long it takes.

    Raises:
        DataError: a process died, or a signal ended a wait for one that is stuck.
    """
    waited = 0
    while True:
        try:
            return next(results)
        except (RuntimeError, OSError) as err:
            if not str(err).startswith(_TIMED_OUT):
                raise _death(err, location, workers) or err from err
        waited += CHECK_EVERY_SEC
        if waited % _WARN_EVERY_SEC == 0:
            logger.warning(
                "The reader processes of %s have given no data for %d seconds. A file system or "
                "server may hang.",
                location,
                waited,
            )
        if is_stopping() and waited >= _STOP_AFTER_SEC:
            raise DataError(
                f"The run was to stop while the reader processes of {location} gave no data for "
                f"{waited} seconds. Run the same command to go on from the last checkpoint."
            )


def _death(err: Exception, location: str, workers: int) -> DataError | None:
    if "DataLoader worker" in str(err):
        return DataError(
            f"A reader process of {location} died ({err}). If memory, or shared memory (/dev/shm), "
            f"ran out, lower data.workers (now {workers}) or train.batch_size, or allow more."
        )
    # What the receiving side says when it may open no further file.
    texts = ("ancdata", "Too many open files")
    if any(text in str(err) for text in texts):
        return DataError(_sharing_fault(OSError(errno.EMFILE, "Too many open files")))
    return None
