"""What all tests share: one thread per process, and the same random numbers whatever ran before.

Threads: so that parallel tests do not fight for cores.
"""

import os

os.environ.setdefault("GANFORGE_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

import pytest
import torch


@pytest.fixture(autouse=True)
def seeded():
    """A test that draws without a seed of its own draws the same alone and after others."""
    torch.manual_seed(0)
