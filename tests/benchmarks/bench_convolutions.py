"""What the convolutions of a training step take by themselves, each at its fastest form here.

No rearrangement of a step, whatever it fuses or shares out, is faster than the sum. The engine
takes one step uncompiled while its convolutions are recorded: sizes, layouts, which gradients.
Each distinct one is then timed alone on warm caches, the best of many rounds; a weight gradient
also as one matrix product over unfolded patches, and the faster form counts.

    python tests/benchmarks/bench_convolutions.py dcgan|cyclegan|pix2pix [--rounds 30] [--json]
"""

import itertools
import math
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import bench_cyclegan
import bench_dcgan
import bench_pix2pix
import click
import torch
from loops import random_images
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from turns import show

from ganforge.interfaces.spec import ImageSpec
from ganforge.registry.components import resolve
from ganforge.training.build import build_run
from ganforge.training.cpu.heap import keep_heap
from ganforge.training.engine.loop import make_batches
from ganforge.training.engine.progress import Progress
from ganforge.training.engine.step import Stepper
from ganforge.training.runtime import Runtime

aten = torch.ops.aten
Layout = tuple[tuple[int, ...], tuple[int, ...], torch.dtype]
"""Sizes, strides, element type of a tensor."""
TRAIN = {"precision": "bf16", "compile": False}
_INPUT, _WEIGHT = 0, 1


class Record(TorchDispatchMode):
    """Counts the convolutions that pass, by operation, layouts and options."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[tuple[Any, ...]] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Note a convolution and run it."""
        if func in (aten.convolution.default, aten.convolution_backward.default):
            self.calls[(func, *(_frozen(arg) for arg in args))] += 1
        return func(*args, **(kwargs or {}))


def _frozen(arg: Any) -> Any:
    if isinstance(arg, Tensor):
        return tuple(arg.shape), arg.stride(), arg.dtype
    return tuple(arg) if isinstance(arg, list) else arg


def _thawed(arg: Any) -> Any:
    if isinstance(arg, tuple) and len(arg) == 3 and isinstance(arg[2], torch.dtype):
        size, stride, dtype = arg
        length = 1 + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
        return torch.randn(length).to(dtype).as_strided(size, stride)
    return list(arg) if isinstance(arg, tuple) else arg


def recorded(which: str) -> Counter[tuple[Any, ...]]:
    """The convolutions of one step of the engine and how often each is run."""
    if which == "dcgan":
        config = bench_dcgan.pipeline(64, 64, TRAIN)
        spec, fields = ImageSpec(64, 64, 3), {"image": random_images(64, 64)}
    else:
        is_paired = which == "pix2pix"
        side = 256 if is_paired else 128
        config = (
            bench_pix2pix.pipeline(1, TRAIN)
            if is_paired
            else bench_cyclegan.pipeline(1, None, TRAIN)
        )
        spec = ImageSpec(side, side, 3, source_channels=3)
        fields = dict(zip(("source", "target"), random_images(side, 2).chunk(2), strict=True))
    run = build_run(resolve(config), spec, Runtime("bf16"))
    stepper = Stepper(run)
    with Record() as record:
        stepper.step(make_batches(run, [fields]), Progress())
    return record.calls


def best_of(rounds: int, run: Callable[[], object]) -> float:
    """Seconds of the fastest; a shared machine only ever slows a round down."""
    best = math.inf
    for _ in range(rounds + 2):
        began = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - began)
    return best


def fastest(func: Any, args: list[Any], rounds: int) -> float:
    """Seconds of one convolution, forward or backward, at its fastest form."""
    whole = best_of(rounds, lambda: func(*args))
    if func is aten.convolution.default:
        return whole
    *front, wanted = args
    if not wanted[_WEIGHT]:
        return whole
    parts = best_of(rounds, _product(args))
    if wanted[_INPUT]:
        parts += best_of(rounds, lambda: func(*front, [True, False, False]))
    return min(whole, parts)


def _product(args: list[Any]) -> Callable[[], Tensor]:
    """The weight gradient as one matrix product: patches of the finer grid times the coarser."""
    grad, x, weight, _, stride, padding, _, transposed = args[:8]
    coarse, fine = (x, grad) if transposed else (grad, x)
    (down, across), (rows, columns) = stride, weight.shape[2:]

    def run() -> Tensor:
        pads = (0, 0, padding[1], padding[1], padding[0], padding[0])
        padded = functional.pad(fine.permute(0, 2, 3, 1), pads)
        n, h, w, c = padded.stride()
        size = (len(coarse), *coarse.shape[2:], rows, columns * fine.shape[1])
        patches = padded.as_strided(size, (n, h * down, w * across, h, c))
        right = coarse.permute(0, 2, 3, 1).reshape(-1, coarse.shape[1])
        return patches.reshape(len(right), -1).t() @ right

    expected = aten.convolution_backward(*args[:-1], [False, True, False])[1].float()
    found = run().float().view(rows, columns, fine.shape[1], coarse.shape[1]).permute(3, 2, 0, 1)
    torch.testing.assert_close(found, expected, rtol=0.05, atol=0.02 * float(expected.abs().max()))
    return run


@click.command()
@click.argument("which", type=click.Choice(["dcgan", "cyclegan", "pix2pix"]))
@click.option("--rounds", default=30, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def main(which: str, rounds: int, as_json: bool) -> None:
    """Print the sum and the dearest convolutions."""
    keep_heap()
    dear = []
    for (func, *frozen), count in recorded(which).items():
        args = [_thawed(arg) for arg in frozen]
        name = " ".join("x".join(map(str, a.shape)) for a in args[:3] if isinstance(a, Tensor))
        dear.append((count * fastest(func, args, rounds), count, f"{func}: {name}"))
    dear.sort(reverse=True)
    result = {"convolutions_sec": sum(seconds for seconds, _, _ in dear)}
    for seconds, count, name in itertools.islice(dear, 12):
        result[f"{count} of {name}"] = seconds
    show(result, as_json)


if __name__ == "__main__":
    main()
