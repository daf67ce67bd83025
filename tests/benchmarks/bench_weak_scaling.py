"""Trains on 1, 2 and 4 ranks of this machine with the same images for each rank.

    python tests/benchmarks/bench_weak_scaling.py [--steps 30]

The ranks talk by gloo. Wall time says little where ranks share cores; CPU time for an image does:
what it grows by is what synchronization costs.
"""

import argparse
import json
import subprocess
import sys
import time
from typing import Any

import torch

from ganforge.config.models import PipelineConfig
from ganforge.interfaces.spec import ImageSpec
from ganforge.registry.components import resolve
from ganforge.training.build import build_run
from ganforge.training.engine.loop import make_batches
from ganforge.training.engine.step import Stepper
from ganforge.training.runtime import Runtime

MICRO_BATCH, SIDE, WARM_UP = 16, 32, 3


def config(num_ranks: int) -> PipelineConfig:
    """A DCGAN whose batch grows with the ranks."""
    return PipelineConfig.model_validate(
        {
            "name": "weak",
            "model": {"architecture": "dcgan", "base_channels": 32},
            "train": {
                **{"batch_size": MICRO_BATCH * num_ranks, "slots": num_ranks, "trackers": []},
                **{"precision": "fp32", "compile": False, "total_kimg": 1000},
            },
        }
    )


def one_rank(steps: int) -> None:
    """Train, and print seconds for a step and for an image."""
    runtime = Runtime("fp32")
    torch.set_num_threads(1)
    run = build_run(resolve(config(runtime.world_size)), ImageSpec(SIDE, SIDE), runtime)
    stepper = Stepper(run)
    images = torch.randint(256, (MICRO_BATCH, 3, SIDE, SIDE), dtype=torch.uint8)
    for step in range(WARM_UP + steps):
        if step == WARM_UP:
            runtime.any_rank(False)
            wall, cpu = time.perf_counter(), time.process_time()
        stepper.step(make_batches(run, [{"image": images}]), run.progress)
        run.progress.advance(run.config.train.batch_size)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    used = runtime.gather_object(cpu)
    if runtime.is_main:
        total = steps * run.config.train.batch_size
        found = {"step_ms": 1000 * wall / steps, "cpu_ms_per_image": 1000 * sum(used) / total}
        sys.stdout.write(json.dumps(found) + "\n")
    runtime.close()


def measure(num_ranks: int, steps: int) -> dict[str, Any]:
    """Of a fresh launch."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc-per-node={num_ranks}", __file__, "--rank", "--steps", str(steps)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Write a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--rank", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rank:
        one_rank(options.steps)
        return
    sys.stdout.write(
        "| ranks | CPU ms for an image | efficiency | ms for a step |\n|--|--|--|--|\n"
    )
    alone: float | None = None
    for num_ranks in (1, 2, 4):
        found = measure(num_ranks, options.steps)
        cpu = found["cpu_ms_per_image"]
        alone = cpu if alone is None else alone
        line = f"| {num_ranks} | {cpu:.3g} | {alone / cpu:.0%} | {found['step_ms']:.3g} |\n"
        sys.stdout.write(line)


if __name__ == "__main__":
    main()
