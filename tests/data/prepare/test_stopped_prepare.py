"""`ganforge data prepare`, stopped or killed in the middle of a data set, goes on from there."""

import dataclasses
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from preparing import save

from ganforge.data.prepare.worker_pool import CHUNK

COUNT = 300
MOMENTS = np.random.default_rng(0).integers(1, 90, 5).tolist()
"""Records after which a process is killed."""
SCRIPT = """
import json, os, signal, sys
from ganforge.cli import main
from ganforge.data.prepare import spool_folder
from ganforge.data.prepare.sample_encoder import SampleEncoder
from ganforge.data.prepare.spool import Spool

append, encode = Spool.append, SampleEncoder.encode

def counted(encoder, sample):
    os.write(log, b"encoded\\n")
    return encode(encoder, sample)

def interrupted(spool, encoded):
    global left
    left -= 1
    append(spool, encoded)
    if left == 0:
        os.kill(os.getpid(), number)

def prepare(out, workers, **options):
    settings = [f"--workers={workers}", "samples_per_shard=64", "--json"]
    main(["data", "prepare", "photos", out, *settings], **options)

prepare("whole", 0, standalone_mode=False)  # which imports all that is needed
SampleEncoder.encode, Spool.append, spool_folder.MIN_KEPT_BYTES = counted, interrupted, 0
for place, (out, workers, left, number) in enumerate(json.loads(sys.argv[1])):
    process = os.fork()
    if not process:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # as without nohup
        log = os.open(f"log{place}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1), os.dup2(log, 2)
        prepare(out, workers)
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
"""
"""Writes `whole` without a disturbance, then forks a process for each prepare."""


@dataclasses.dataclass
class Ended:
    """How a prepare ended."""

    code: int
    lines: list[str]
    taken: int
    """Samples that it took over."""
    encoded: int
    """Samples that it encoded."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """300 photos, of which data sets are prepared: `whole`, `out` and `stopped`."""
    folder = tmp_path_factory.mktemp("stopped")
    for number in range(COUNT):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        save(folder / "photos" / "ab"[number % 2] / f"{number:03d}.png", pixels)
    return folder


@pytest.fixture(scope="module")
def ended(folder):
    """One prepare after another: killed five times and not, then stopped by two signals."""
    prepares = [("out", place % 2, at, signal.SIGKILL) for place, at in enumerate(MOMENTS)]
    stopped = [("stopped", 1, 70, signal.SIGTERM), ("stopped", 0, 30, signal.SIGINT)]
    prepares += [("out", 1, 0, 0), *stopped]
    command = [sys.executable, "-c", SCRIPT, json.dumps(prepares)]
    codes = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, timeout=120, check=True)
    return [
        _ended(int(code), (folder / f"log{place}").read_text().splitlines())
        for place, code in enumerate(codes.stdout.splitlines()[1:])
    ]


def _ended(code, lines):
    found = re.search(r"earlier prepare: (\d+) samples", "\n".join(lines))
    rest = [line for line in lines if line != "encoded"]
    return Ended(code, rest, int(found[1]) if found else 0, len(lines) - len(rest))


def content(folder):
    return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


def test_prepare_killed_at_random_moments_writes_the_bytes_of_an_undisturbed_one(ended, folder):
    before, last = 0, ended[5]
    for at, each in zip(MOMENTS, ended[:5], strict=True):
        assert each.code == -signal.SIGKILL, each.lines
        assert each.taken >= before
        # What was not handed to the system is lost: less than a chunk, and what is torn.
        before = each.taken + at - at % CHUNK
    assert last.code == 0, last.lines
    assert last.taken >= before > COUNT / 2
    assert last.encoded == COUNT - last.taken
    assert content(folder / "out") == content(folder / "whole")
    assert not list(folder.glob(".out*"))


def test_prepare_stopped_by_a_signal_says_how_to_go_on(ended, folder):
    terminated, interrupted = ended[6:]
    assert (terminated.code, interrupted.code) == (143, 130)
    assert (terminated.taken, interrupted.taken) == (0, 70)
    assert terminated.lines[-2:] == [
        f"The encoded samples (70) are kept in {folder / '.stopped.spool'}. Run the same command "
        "to go on; delete the folder to start over.",
        "Stopped by SIGTERM.",
    ]
    assert "samples (100) are" in interrupted.lines[-2]
    assert [path.name for path in folder.glob("*stopped*")] == [".stopped.spool"]
