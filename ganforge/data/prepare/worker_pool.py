"""Worker processes that encode samples while the main process reads and writes."""

import concurrent.futures
import contextlib
import itertools
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool

from ganforge.data.prepare.sample_encoder import Encoded, SampleEncoder
from ganforge.errors import DataError
from ganforge.interfaces.source import Sample

CHUNK = 32
"""Samples that a worker encodes at a time; of clips, which are large, it is one."""
AHEAD = 4
"""Chunks in flight per worker: enough to keep it busy, few enough to bound memory. Of clips, 2."""
MAX_DEFAULT_WORKERS = 16


def default_workers() -> int:
    """One process per core that this process may use, except one; 1 to 16."""
    can_ask = hasattr(os, "sched_getaffinity")  # not on macOS
    cores = len(os.sched_getaffinity(0)) if can_ask else os.cpu_count() or 1
    return min(max(cores - 1, 1), MAX_DEFAULT_WORKERS)


def _end_with_parent() -> None:
    """Leave signals to the parent, and end a worker when its parent is killed.

    Otherwise it would wait for ever, with its memory and the lock on the parent's output folder.
    """
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:

        def exit_after_parent() -> None:
            parent.join()
            os._exit(1)

        threading.Thread(target=exit_after_parent, daemon=True).start()


def encode_chunks(
    encoder: SampleEncoder, samples: Iterator[Sample], workers: int
) -> Iterator[list[Encoded]]:
    """Encode samples in order, with a bounded number in flight.

    Args:
        encoder: what the workers run.
        samples: read in this process.
        workers: processes; 0 encodes in this one.

    Raises:
        DataError: a worker died.
    """
    size, ahead = (1, 2) if encoder.has_clips else (CHUNK, AHEAD)
    chunks = iter(lambda: list(itertools.islice(samples, size)), [])
    if workers == 0:
        yield from map(encoder.encode_all, chunks)
        return
    pending: deque[concurrent.futures.Future[list[Encoded]]] = deque()
    with concurrent.futures.ProcessPoolExecutor(workers, initializer=_end_with_parent) as pool:
        try:
            for chunk in chunks:
                pending.append(pool.submit(encoder.encode_all, chunk))
                if len(pending) >= workers * ahead:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        except BrokenProcessPool as err:
            raise DataError(
                f"A worker process of prepare died ({err}); memory may have run out. Use fewer "
                f"than {workers} workers."
            ) from err
        finally:
            pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def progress_bar(total: int | None, show: bool) -> Iterator[Callable[[int], None]]:
    """Shows progress while open; yields the function that advances it."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress("{task.description}", *columns, disable=not show, console=console) as bar:
        task = bar.add_task("Preparing images", total=total)
        yield lambda count: bar.advance(task, count)
