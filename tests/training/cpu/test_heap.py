"""Freed memory stays in the process, so that the next step takes it without page faults."""

import subprocess
import sys

import pytest
import torch

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the heap is glibc's on Linux"),
    pytest.mark.skipif(torch.cuda.is_available(), reason="only runs on a CPU keep it"),
]

ROUNDS = """
import resource
from pathlib import Path
from ganforge.config.models import PipelineConfig
from ganforge.interfaces.stage import RunContext
from ganforge.pipeline.session import runtime_of
from ganforge.registry.components import resolve
train = dict(trackers=[], cpu_optimizations="{choice}")
config = dict(name="heap", data=dict(shards="."), model=dict(architecture="dcgan"), train=train)
config = PipelineConfig.model_validate(config)
runtime_of(RunContext(config, Path("."), resolve(config)))
def step():
    blocks = [bytearray(b"x") * (8 << 20) for _ in range(8)]
for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(choice):
    command = [sys.executable, "-c", ROUNDS.format(choice=choice)]
    return int(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def test_freed_blocks_are_used_again_unless_cpu_optimizations_are_off():
    assert page_faults("auto") < 100 < 5000 < page_faults("off")
