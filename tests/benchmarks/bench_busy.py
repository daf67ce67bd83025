"""A training step on two cores, alone and while another program takes one of them.

OpenMP threads spin while they wait for each other, and keep the thread that they wait for from
running. Each way of waiting trains in a process of its own, in short turns; the other program runs
in every second round.

    python tests/benchmarks/bench_busy.py [--json]
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click
import torch
from loops import serve_engine
from turns import Contestant, Kind

from ganforge.config.models import PipelineConfig
from ganforge.interfaces.spec import ImageSpec
from ganforge.training.cpu.threads import SPIN_COUNT

SIZE, BATCH = 32, 64
QUIET, BUSY = "quiet", "busy"
KINDS = (Kind(QUIET, 0.5, 0), Kind(BUSY, 0.5, 0))
WAYS = {
    "libgomp": {},
    "ganforge": {"GOMP_SPINCOUNT": str(SPIN_COUNT)},
    "spin_1000": {"GOMP_SPINCOUNT": "1000"},
    "spin_100000": {"GOMP_SPINCOUNT": "100000"},
    "passive": {"OMP_WAIT_POLICY": "PASSIVE"},
    "one_thread": {"GANFORGE_NUM_THREADS": "1"},
}
"""Ways of waiting, as environment variables; the first is what libgomp does by default."""
_OURS = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OMP_NUM_THREADS", "GANFORGE_NUM_THREADS")


@contextmanager
def other_program() -> Iterator[subprocess.Popen[bytes]]:
    """A program that computes without end; stopped at first."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    process.send_signal(signal.SIGSTOP)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def contestant(variables: dict[str, str]) -> Contestant:
    """A training loop whose threads wait in one way."""
    unset = [part for name in _OURS for part in ("-u", name)]
    given = [f"{name}={value}" for name, value in variables.items()]
    found = Contestant(["env", *unset, *given, sys.executable, __file__, "--serve"])
    found.wait_until_ready()
    return found


def measure(rounds: int, steps: int) -> dict[str, dict[str, float]]:
    """Images per second by way and state: all images over all seconds, as delays come in bursts."""
    loops: dict[str, Contestant] = {}
    try:
        for name, variables in WAYS.items():
            loops[name] = contestant(variables)
        with other_program() as other:
            for _ in range(rounds):
                for state, order in ((QUIET, signal.SIGSTOP), (BUSY, signal.SIGCONT)):
                    other.send_signal(order)
                    for loop in loops.values():
                        for _ in range(steps):
                            loop.take_turn(state)
        return {
            name: {state: BATCH * len(t) / sum(t) for state, t in loop.seconds.items()}
            for name, loop in loops.items()
        }
    finally:
        for loop in loops.values():
            loop.kill()


def serve() -> None:
    """Train the quickstart's network, on random images, for one contestant."""
    config = PipelineConfig.model_validate(
        {
            "name": "busy",
            "data": {"shards": "unused"},
            "model": {"architecture": "dcgan", "base_channels": 32},
            "train": {"batch_size": BATCH, "compile": False},
        }
    )
    image = torch.randint(256, (BATCH, 1, SIZE, SIZE), dtype=torch.uint8)
    watched = "loss/discriminator/adversarial"
    serve_engine(config, ImageSpec(SIZE, SIZE, 1), {"image": image}, watched, KINDS)


@click.command()
@click.option("--rounds", default=6, help="Times that the other program starts.")
@click.option("--steps", default=10, help="Steps of each loop in a round.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
@click.option("--serve", "serves", is_flag=True, hidden=True)
def main(rounds: int, steps: int, as_json: bool, serves: bool) -> None:
    """Measure and print images per second, and their share of libgomp's on a quiet machine."""
    if serves:
        serve()
        return
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])  # of all that is started here
    load = os.getloadavg()[0]
    rates = measure(rounds, steps)
    reference = rates["libgomp"][QUIET]
    shares = {
        name: {state: rate / reference for state, rate in found.items()}
        for name, found in rates.items()
    }
    if as_json:
        click.echo(json.dumps({"load": load, "img_per_sec": rates, "share": shares}))
        return
    click.echo(f"load of the machine before: {load:.1f}")
    for name, found in rates.items():
        parts = (
            f"{state} {rate:6.1f} images/s ({shares[name][state]:4.0%})"
            for state, rate in found.items()
        )
        click.echo(f"{name:12} {'  '.join(parts)}")


if __name__ == "__main__":
    main()
