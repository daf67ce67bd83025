"""What this machine can do at most: the rate of large matrix products in fp32 and bf16.

    python tests/benchmarks/bench_peak.py --threads 2

Training and feature networks are convolutions, so no rearrangement makes a step faster than its
operations divided by this rate. The other benchmarks are to be read beside it.
"""

import time

import click
import torch


def rate(dtype: torch.dtype, side: int, rounds: int) -> float:
    """Best GFLOP/s of square products of `side`; a shared machine only ever slows a round down."""
    a = torch.randn(side, side).to(dtype)
    best = 0.0
    for _ in range(rounds):
        began = time.perf_counter()
        a @ a
        best = max(best, 2 * side**3 / (time.perf_counter() - began) / 1e9)
    return best


@click.command()
@click.option("--threads", default=2, show_default=True)
@click.option("--side", default=1024, show_default=True)
@click.option("--rounds", default=200, show_default=True)
def main(threads: int, side: int, rounds: int) -> None:
    """Print GFLOP/s by precision and number of threads."""
    for count in sorted({1, threads}):
        torch.set_num_threads(count)
        found = [rate(dtype, side, rounds) for dtype in (torch.float32, torch.bfloat16)]
        click.echo(
            f"{count} threads: fp32 {found[0]:.0f} GFLOP/s, bf16 {found[1]:.0f} GFLOP/s "
            f"({found[1] / found[0]:.1f}x)"
        )


if __name__ == "__main__":
    main()
