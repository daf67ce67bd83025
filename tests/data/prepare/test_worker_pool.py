import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from ganforge.config.models import DataConfig
from ganforge.data.prepare.probe import probe_schema
from ganforge.data.prepare.sample_encoder import Encoded, SampleEncoder
from ganforge.data.prepare.worker_pool import AHEAD, CHUNK, default_workers, encode_chunks
from ganforge.interfaces.source import Sample

IMAGE = np.zeros((8, 8, 3), dtype=np.uint8)


def test_prepare_reads_ahead_only_a_bounded_number_of_samples():
    taken = []

    def samples():
        for number in range(10000):
            taken.append(number)
            yield Sample(str(number), {"image": IMAGE})

    schema = probe_schema(DataConfig(), "main", [Sample("a", {"image": IMAGE})], "test")
    encoder = SampleEncoder(DataConfig(), schema, "test")
    encoded = encode_chunks(encoder, samples(), 1)
    assert isinstance(next(encoded)[0], Encoded)
    assert len(taken) <= AHEAD * CHUNK
    encoded.close()


def test_workers_end_when_their_parent_is_killed(tmp_path):
    (tmp_path / "script.py").write_text(
        "import os, signal\n"
        "from ganforge.data.prepare.worker_pool import encode_chunks\n"
        "class Encoder:\n"
        "    has_clips = False\n"
        "    def encode_all(self, chunk):\n"
        "        return chunk\n"
        "if __name__ == '__main__':\n"
        "    assert next(encode_chunks(Encoder(), iter(range(1000)), 2))\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    # The workers hold the pipe too, so this returns when they have ended.
    command = [sys.executable, str(tmp_path / "script.py")]
    ended = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr


@pytest.mark.parametrize(("cores", "workers"), [(1, 1), (2, 1), (8, 7), (128, 16)])
def test_default_workers_leave_one_core_and_are_bounded(monkeypatch, cores, workers):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(cores), raising=False)
    assert default_workers() == workers
