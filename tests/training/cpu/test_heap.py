"""What a step frees stays with the process, so that the next step takes it without page faults."""

import subprocess
import sys

import pytest
import torch

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the heap is glibc's on Linux"),
    pytest.mark.skipif(torch.cuda.is_available(), reason="kept by runs on a CPU"),
]

_ROUNDS = """
import resource
from pathlib import Path
from ganforge.components import RunContext
from ganforge.config import PipelineConfig
from ganforge.stages.session import runtime_of
if {keep}:
    train = dict(trackers=[])
    config = dict(name="heap", data=dict(shards="."), model=dict(architecture="dcgan"), train=train)
    runtime_of(RunContext(PipelineConfig.model_validate(config), Path(".")))
def step():
    blocks = [bytearray(b"x") * (8 << 20) for _ in range(8)]
for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _page_faults(keep: bool) -> int:
    command = [sys.executable, "-c", _ROUNDS.format(keep=keep)]
    return int(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def test_freed_blocks_are_used_again() -> None:
    kept, default = _page_faults(True), _page_faults(False)
    assert kept < 100 < 5000 < default
