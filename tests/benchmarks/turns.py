"""Time training loops in turns, each in a process of its own.

Turns let other load on the machine fall on all; processes keep their heaps and their peaks of
memory apart. A benchmark calls `compete`, which starts the same script once for each loop with
`--serve NAME`; there it calls `serve` with the steps of that loop.
"""

import contextlib
import functools
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import click
import torch
from torch.utils.flop_counter import FlopCounterMode

READY, STOP = "ready", "stop"
LOOPS = ("usual", "engine")
"""Names of the usual two; the first is what others are compared with."""


@dataclass(frozen=True)
class Kind:
    """A step that differs from others by what is due in it.

    Attributes:
        name: of the kind.
        share: part of all steps that are like it.
        number: a step of the engine that is like it, counted from 0.
    """

    name: str
    share: float
    number: int


def serve(
    step: Callable[[int], float], kinds: Sequence[Kind], *, counts: bool = False, **facts: object
) -> None:
    """Answer each kind's name on standard input by the seconds and the loss of one step.

    Args:
        step: number of the step -> its loss, on the host.
        kinds: what may be asked for.
        counts: count the arithmetic of a step, the mean over the kinds by their shares.
        facts: sent along at the end.
    """
    numbers = {kind.name: kind.number for kind in kinds}
    first = {name: step(number) for name, number in numbers.items()}
    gflop = 0.0
    for kind in kinds:
        with FlopCounterMode(display=False) if counts else contextlib.nullcontext() as counter:
            step(kind.number)
        gflop += kind.share * counter.get_total_flops() / 1e9 if counter is not None else 0.0
    if counts:
        facts["gflop_per_step"] = gflop
    click.echo(READY)
    for line in sys.stdin:
        if line.strip() == STOP:
            break
        start = time.perf_counter()
        step(numbers[line.strip()])
        click.echo(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    facts |= {"first_loss": first, "peak_bytes": peak, "threads": torch.get_num_threads()}
    if torch.cuda.is_available():
        facts["peak_device_bytes"] = torch.cuda.max_memory_allocated()
    click.echo(json.dumps(facts))


@dataclass
class Contestant:
    """One loop in its process.

    Attributes:
        command: starts it.
        seconds: measured so far, by kind of step.
    """

    command: Sequence[str]
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line:
            raise click.ClickException(f"{' '.join(self.command)} ended early; see above.")
        return line

    def _write(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def wait_until_ready(self) -> None:
        """Return once it has compiled and warmed up."""
        assert self._read() == READY

    def take_turn(self, kind: str) -> None:
        """Time one step."""
        self._write(kind)
        self.seconds.setdefault(kind, []).append(float(self._read()))

    def finish(self) -> dict[str, object]:
        """Stop it; returns its facts."""
        self._write(STOP)
        facts = json.loads(self._read())
        self._process.wait()
        return dict(facts)

    def kill(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.wait()


def common_arguments(size: int, batch: int, precision: str, compiled: bool) -> list[str]:
    """The arguments by which `options` gives these values again."""
    flag = "--compile" if compiled else "--no-compile"
    return [f"--size={size}", f"--batch={batch}", f"--precision={precision}", flag]


def compete(
    script: str,
    arguments: Sequence[str],
    kinds: Sequence[Kind],
    batch: int,
    turns: int,
    loops: Sequence[str] = LOOPS,
) -> dict[str, object]:
    """Time the loops and compare them.

    Args:
        script: the benchmark's own file.
        arguments: of the script, for all.
        kinds: of steps, whose shares sum to one.
        batch: images a step.
        turns: timed steps of each kind.
        loops: their names; the first is what the others are compared with.
    """
    found: dict[str, Contestant] = {}
    try:
        for name in loops:
            found[name] = Contestant([sys.executable, script, "--serve", name, *arguments])
            # One after the other: two that warm up at once hinder each other.
            found[name].wait_until_ready()
        for _ in range(turns):
            for kind in kinds:
                for contestant in found.values():
                    contestant.take_turn(kind.name)
        facts = {name: contestant.finish() for name, contestant in found.items()}
    finally:
        for contestant in found.values():
            contestant.kill()
    return _report(found, facts, kinds, batch)


def _report(
    found: Mapping[str, Contestant],
    facts: Mapping[str, dict[str, object]],
    kinds: Sequence[Kind],
    batch: int,
) -> dict[str, object]:
    result: dict[str, object] = {"batch": batch}
    rates = {}
    for name, contestant in found.items():
        median = {kind: statistics.median(times) for kind, times in contestant.seconds.items()}
        rates[name] = batch / sum(kind.share * median[kind.name] for kind in kinds)
        result |= {f"{name}_{kind}_sec": seconds for kind, seconds in median.items()}
        result[f"{name}_img_per_sec"] = rates[name]
        result |= {f"{name}_{key}": value for key, value in facts[name].items()}
    first, *others = rates
    return result | {f"{name}_over_{first}": rates[name] / rates[first] for name in others}


def options(
    size: int, batch: int, turns: int, loops: Sequence[str] = LOOPS
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The options of every such benchmark; the arguments are defaults."""
    found = [
        click.option("--size", default=size, help="Side of the images, in pixels."),
        click.option("--batch", default=batch, help="Images per step."),
        click.option("--turns", default=turns, help="Timed steps of each kind."),
        click.option("--precision", default="auto", type=click.Choice(["auto", "bf16", "fp32"])),
        click.option("--compile/--no-compile", "compiled", default=True, help="Of the engine."),
        click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output."),
        click.option("--serve", "served", type=click.Choice(loops), hidden=True),
    ]
    return lambda main: functools.reduce(lambda made, option: option(made), reversed(found), main)


def show(result: Mapping[str, object], as_json: bool) -> None:
    """Print a result."""
    if as_json:
        click.echo(json.dumps(result))
        return
    for name, value in result.items():
        click.echo(f"{name:28} {value:.4g}" if isinstance(value, float) else f"{name:28} {value}")
