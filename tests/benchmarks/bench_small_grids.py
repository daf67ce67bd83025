"""Convolutions of small grids, forward and backward: torch's form and the images side by side.

    python tests/benchmarks/bench_small_grids.py [--batch 32] [--rounds 12]

In bfloat16, compiled, as a training step runs them; the two take turns, and the best round of each
counts. `ganforge.training.cpu.small_grids` chooses by these numbers, on processors with AMX.
"""

import time
from collections.abc import Callable

import click
import torch
from torch import Tensor
from torch.nn import functional

from ganforge.training.cpu.heap import keep_heap
from ganforge.training.cpu.small_grids import conv2d_side_by_side, conv_transpose2d_side_by_side

Form = Callable[[Tensor, Tensor], Tensor]
KINDS = {"3x3": (3, 1), "3x3 down": (3, 2), "4x4 down": (4, 2), "4x4 up": (4, 2)}


def forms(kind: str) -> tuple[Form, Form]:
    """Torch's form and the other, as functions of images and weights."""
    _, stride = KINDS[kind]
    strides, padding = (stride, stride), (1, 1)
    if kind.endswith("up"):
        return (
            lambda x, w: functional.conv_transpose2d(x, w, None, stride, 1),
            lambda x, w: conv_transpose2d_side_by_side(x, w, None, strides, padding, (0, 0)),
        )
    return (
        lambda x, w: functional.conv2d(x, w, None, stride, 1),
        lambda x, w: conv2d_side_by_side(x, w, None, strides, padding),
    )


def best_times(kind: str, width: int, channels: int, batch: int, rounds: int) -> list[float]:
    """Seconds of forward and backward by both forms."""
    kernel, stride = KINDS[kind]
    side = width if kind.endswith("up") else width * stride
    like = {"dtype": torch.bfloat16}
    x = torch.randn(batch, channels, side, side, **like)
    weight = torch.randn(channels, channels, kernel, kernel, **like)
    x, weight = (t.to(memory_format=torch.channels_last).requires_grad_() for t in (x, weight))
    torch.compiler.reset()
    compiled = [torch.compile(form, dynamic=False) for form in forms(kind)]
    best = [float("inf")] * 2
    for turn in range(rounds + 2):
        for index, form in enumerate(compiled):
            start = time.perf_counter()
            y = form(x, weight)
            torch.autograd.grad(y, (x, weight), torch.ones_like(y))
            if turn > 1:
                best[index] = min(best[index], time.perf_counter() - start)
    return best


@click.command()
@click.option("--batch", default=32, show_default=True)
@click.option("--rounds", default=12, show_default=True)
@click.option("--threads", default=2, show_default=True)
def main(batch: int, rounds: int, threads: int) -> None:
    """Print milliseconds of both and how many times as fast the second is."""
    keep_heap()
    torch.set_num_threads(threads)
    for kind in KINDS:
        for width in (4, 8, 16):
            for channels in (32, 64, 128, 256):
                torchs, beside = best_times(kind, width, channels, batch, rounds)
                click.echo(
                    f"{kind:9} width {width:2} {channels:3} channels: {torchs * 1e3:6.2f} ms, "
                    f"side by side {beside * 1e3:6.2f} ms, {torchs / beside:.2f} times as fast"
                )


if __name__ == "__main__":
    main()
