import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from slurm.cluster import Cluster, missing_programs


@pytest.fixture(scope="session")
def cluster():
    """Two nodes of one CPU; Slurm is installed first where this process may do so."""
    if missing_programs() and os.geteuid() == 0 and shutil.which("apt-get"):
        script = Path(__file__).with_name("install.sh")
        subprocess.run([script], capture_output=True, timeout=300, check=False)
    if missing_programs():
        pytest.skip(
            f"Slurm is not installed ({', '.join(missing_programs())} missing); as root: "
            f"tests/slurm/install.sh"
        )
    # Not tmp_path: the path of a socket may have 107 characters.
    with tempfile.TemporaryDirectory(prefix="slurm") as folder:
        try:
            running = Cluster(Path(folder), num_nodes=2)
        except RuntimeError as err:
            pytest.skip(f"Slurm is installed but does not start here: {err}")
        yield running
        running.stop()
