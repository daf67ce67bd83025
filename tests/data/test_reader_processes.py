"""Reader processes that are slow, stuck or short of memory are named."""

import errno
import resource
import subprocess
import sys

import pytest
import torch

from ganforge.data import reader_processes
from ganforge.data.reader_processes import (
    CHECK_EVERY_SEC,
    check_temporary_folder,
    num_readers,
    share,
    wait_for,
)
from ganforge.errors import DataError

TIMED_OUT = RuntimeError("DataLoader timed out after 5 seconds")


def slow(times, error=TIMED_OUT):
    """An iterator that fails this many times, then yields 7."""

    class Results:
        count = 0

        def __iter__(self):
            return self

        def __next__(self):
            self.count += 1
            if self.count <= times:
                raise error
            return 7

    return Results()


def test_wait_for_slow_readers_goes_on_and_says_so(caplog):
    assert wait_for(slow(60 // CHECK_EVERY_SEC), "shards", 1, lambda: False) == 7
    (message,) = caplog.messages
    assert message.startswith("The reader processes of shards have given no data for 60 seconds")


def test_wait_for_stuck_readers_ends_when_the_run_is_to_stop():
    with pytest.raises(DataError, match="gave no data for 30 seconds. Run the same command"):
        wait_for(slow(10**6), "shards", 1, lambda: True)


@pytest.mark.parametrize(
    ("error", "match"),
    [
        (RuntimeError("DataLoader worker (pid 7) is killed by signal"), "died .*data.workers"),
        (RuntimeError("received 0 items of ancdata"), "may not open more files.*ulimit -n"),
        (OSError(errno.EMFILE, "Too many open files"), "may not open more files.*ulimit -n"),
    ],
)
def test_wait_for_readers_that_ended_says_why(error, match):
    with pytest.raises(DataError, match=match):
        wait_for(slow(1, error), "shards", 2, lambda: False)


def test_wait_for_leaves_other_errors_alone():
    with pytest.raises(RuntimeError, match="^something else$"):
        wait_for(slow(1, RuntimeError("something else")), "shards", 2, lambda: False)


@pytest.mark.parametrize(
    ("error", "match"),
    [
        (RuntimeError("unable to allocate shared memory(shm): No space left"), "shm-size.*workers"),
        (RuntimeError("unable to open shared memory: Too many open files (24)"), "ulimit -n"),
    ],
)
def test_share_in_a_reader_process_returns_what_failed(monkeypatch, error, match):
    def refuse(tensor):
        raise error

    monkeypatch.setattr(reader_processes, "get_worker_info", lambda: object())
    monkeypatch.setattr(torch.Tensor, "share_memory_", refuse)
    with pytest.raises(DataError, match=match):
        share({"image": torch.zeros(2), "caption": ["a", "b"]})


def test_share_in_the_main_process_leaves_tensors_alone():
    values = {"image": torch.zeros(2)}
    share(values)
    assert not values["image"].is_shared()


RUN = """
import resource, sys
from ganforge.config.models import DataConfig
from ganforge.data.loader import SlotLoader
limit = {limit}
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
loader = SlotLoader(DataConfig(workers={workers}), {location!r}, fields=["image"], seed=0,
                    num_slots=1, local_slots=range(1), micro_batch=64)
try:
    for number, _ in zip(range(3), loader):
        pass
except Exception as err:
    print(type(err).__name__, err)
loader.close()
"""


@pytest.mark.parametrize("workers", [0, 1])
def test_loader_with_few_file_descriptors_says_so(tmp_path, helpers, workers):
    location = helpers.write_dataset(tmp_path / "s", count=64, per_shard=1)
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 60
    script = RUN.format(limit=40, workers=workers, location=str(location))
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False
    )
    assert "damaged" not in done.stderr and "Restore" not in done.stdout
    assert "Too many open files" in done.stdout, done.stdout + done.stderr


def test_temporary_folder_with_a_path_too_long_for_sockets_is_refused(monkeypatch):
    check_temporary_folder()
    monkeypatch.setattr("tempfile.gettempdir", lambda: "/" + "x" * 100)
    with pytest.raises(DataError, match="a path of 101 characters.*Set TMPDIR .*data.workers: 0"):
        check_temporary_folder()


@pytest.mark.parametrize(
    ("cores", "is_gpu", "expected"), [(1, True, 1), (6, True, 5), (64, True, 8), (64, False, 1)]
)
def test_automatic_readers_are_the_cores_beside_a_gpu_but_one(cores, is_gpu, expected, monkeypatch):
    monkeypatch.setattr(reader_processes, "own_cores", lambda: cores)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: is_gpu)
    assert num_readers("auto") == expected
    assert num_readers(3) == 3
