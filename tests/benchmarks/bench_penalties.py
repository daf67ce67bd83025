"""A lazy penalty on a gradient: in float32, and in the precision of the forward passes.

    python tests/benchmarks/bench_penalties.py [--rounds 8] [--json]

The networks of `pipelines/starters/images.yaml` on random images, not compiled. Both penalize the
same discriminator in turns; a plain step is measured beside them.
"""

import json
import time
from collections.abc import Callable

import click
import torch
from loops import random_images

from ganforge.config.load import load_pipeline
from ganforge.interfaces.spec import ImageSpec
from ganforge.registry.components import resolve
from ganforge.training.build import build_run
from ganforge.training.cpu.heap import keep_heap
from ganforge.training.engine.loop import make_batches
from ganforge.training.engine.progress import Progress
from ganforge.training.engine.step import Stepper
from ganforge.training.runtime import Runtime

SIZE, EVERY = 64, 2
PRECISIONS = ("fp32", "mixed")


def stepper(precision: str) -> Callable[[int], float]:
    """Number of a step -> its seconds; the odd ones have R1 and R2."""
    terms = ", ".join(
        f"{{name: {name}, gamma: 1, every: {EVERY}, precision: {precision}}}"
        for name in ("r1", "r2")
    )
    overrides = ("data.shards=unused", f"loss.regularizers=[{terms}]", "augment=null")
    config = load_pipeline("starters/images", overrides)
    run = build_run(resolve(config), ImageSpec(SIZE, SIZE, 3), Runtime(config.train.precision))
    engine, batch = Stepper(run), config.train.batch_size
    img = random_images(SIZE, batch)

    def step(number: int) -> float:
        start = time.perf_counter()
        engine.step(make_batches(run, [{"image": img.clone()}]), Progress(number, number * batch))
        return time.perf_counter() - start

    return step


def measure(rounds: int) -> dict[str, float]:
    """Milliseconds of a step without penalties, and of both penalties in each precision."""
    steps = {precision: stepper(precision) for precision in PRECISIONS}
    best = {(name, lazy): float("inf") for name in PRECISIONS for lazy in range(EVERY)}
    for number in range(EVERY * (rounds + 1)):
        for name, step in steps.items():
            seconds, kind = step(number), (name, number % EVERY)
            if number >= EVERY:
                best[kind] = min(best[kind], seconds)
    plain = min(best[name, number] for name in PRECISIONS for number in range(EVERY))
    lazy = {name: max(best[name, number] for number in range(EVERY)) for name in PRECISIONS}
    return {"plain_ms": 1e3 * plain} | {n: 1e3 * (lazy[n] - plain) for n in PRECISIONS}


@click.command()
@click.option("--rounds", default=8, show_default=True, help="Penalties of each precision.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def main(rounds: int, as_json: bool) -> None:
    """Print milliseconds; the best round of each counts."""
    keep_heap()
    found = measure(rounds)
    if as_json:
        click.echo(json.dumps(found))
        return
    click.echo(
        f"step without penalties {found['plain_ms']:.0f} ms on {torch.get_num_threads()} threads"
    )
    for name in PRECISIONS:
        ratio = found["fp32"] / found[name]
        click.echo(
            f"R1 and R2 in {name:5} {found[name]:4.0f} ms, {ratio:.2f} times as fast as fp32"
        )


if __name__ == "__main__":
    main()
