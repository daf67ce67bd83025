import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def two_ranks(tmp_path_factory):
    """What ranks_worker.py has written on two ranks."""
    folder = tmp_path_factory.mktemp("ranks")
    tests = Path(__file__).parents[1]
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"),
        *("--master-port", "0", "--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0"),
        *(str(Path(__file__).with_name("ranks_worker.py")), str(folder), "2"),
    ]
    path = os.pathsep.join([str(tests), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder
