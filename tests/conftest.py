"""What all tests share: one thread per process, the same random numbers, a disk that is soon full.

Threads: so that parallel tests do not fight for cores.
"""

import os
import subprocess

os.environ.setdefault("GANFORGE_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

import pytest
import torch


@pytest.fixture(autouse=True)
def seeded():
    """A test that draws without a seed of its own draws the same alone and after others."""
    torch.manual_seed(0)


@pytest.fixture
def small_disk(tmp_path):
    """Mounts a disk of so many bytes at `tmp_path / "disk"`."""
    disk = tmp_path / "disk"

    def mount(size):
        if os.geteuid() != 0:
            pytest.skip("mounting a small tmpfs needs root")
        disk.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)]
        mounted = subprocess.run(command, capture_output=True)
        if mounted.returncode:
            pytest.skip(f"cannot mount a tmpfs: {mounted.stderr.decode().strip()}")
        return disk

    yield mount
    if os.path.ismount(disk):
        subprocess.run(["umount", str(disk)], check=True)
