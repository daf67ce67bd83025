"""Inception features: ganforge and torch-fidelity's default, side by side in one run on the CPU.

    python tests/benchmarks/bench_features.py --images 96

Weights are random but fixed, so nothing is downloaded. Compilation is done before the clock
starts and reported apart. Every variant sees the same images; the difference of its features from
torch-fidelity's is shown with its speed. Rounds alternate, and the best of each counts, because
a shared machine only ever slows a round down. On a crowded one, `--threads 1 --cpu-time` counts
the processor time that each took.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import torch
from torch import Tensor

from ganforge.metrics.extractors import InceptionV3, InceptionV3Config

sys.path.insert(0, str(Path(__file__).parents[1]))
from metrics.inception import random_inception_weights  # noqa: E402

Extract = Callable[[Tensor], Tensor]
Clock = Callable[[], float]
VARIANTS = {
    "fp32": {"compile": False},
    "fp32 compiled": {"compile": True},
    "bf16": {"compile": False, "precision": "bf16"},
    "bf16 compiled": {"compile": True, "precision": "bf16"},
}


def build(weights: str, variants: tuple[str, ...]) -> dict[str, Extract]:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    theirs = FeatureExtractorInceptionV3(
        "x", ["2048", "logits_unbiased"], feature_extractor_weights_path=weights
    )
    made: dict[str, Extract] = {"torch-fidelity": lambda img: theirs(img)[0]}
    for name in variants:
        config = InceptionV3Config(weights=weights, sha256=None, **VARIANTS[name])
        extractor = InceptionV3(config).eval()
        made[name] = lambda img, extractor=extractor: extractor(img)["pooled"]
    return made


def timed(extract: Extract, img: Tensor, batch: int, clock: Clock) -> tuple[float, Tensor]:
    began = clock()
    features = torch.cat([extract(part) for part in img.split(batch)])
    return clock() - began, features


@click.command()
@click.option("--images", default=64, show_default=True)
@click.option("--batch", default=32, show_default=True)
@click.option("--side", default=64, show_default=True, help="Pixels.")
@click.option("--rounds", default=2, show_default=True)
@click.option("--threads", default=2, show_default=True)
@click.option("--cpu-time", is_flag=True, help="Count processor time instead of wall time.")
@click.option("--variant", "variants", multiple=True, default=tuple(VARIANTS), show_default=True)
@torch.no_grad()
def main(
    images: int, batch: int, side: int, rounds: int, threads: int, cpu_time: bool,
    variants: tuple[str, ...],
) -> None:  # fmt: skip
    """Print milliseconds per image, speed-up and difference of each variant."""
    clock = time.process_time if cpu_time else time.perf_counter
    torch.set_num_threads(threads)
    img = torch.randint(
        0, 256, (images, 3, side, side), dtype=torch.uint8,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        weights = random_inception_weights(Path(folder) / "random.pth")
        made = build(str(weights), variants)
    first = {
        name: timed(extract, img[:batch], batch, time.perf_counter)[0]
        for name, extract in made.items()
    }
    best: dict[str, float] = {}
    found: dict[str, Tensor] = {}
    for _ in range(rounds):
        for name, extract in made.items():
            seconds, found[name] = timed(extract, img, batch, clock)
            best[name] = min(seconds, best.get(name, seconds))
    expected = found["torch-fidelity"]
    click.echo(f"{images} images of {side}x{side}, batch {batch}, {threads} threads")
    for name, seconds in best.items():
        off = ((found[name] - expected).norm() / expected.norm()).item()
        click.echo(
            f"{name:16} {1000 * seconds / images:7.1f} ms/image  "
            f"{best['torch-fidelity'] / seconds:5.2f}x  features off by {off:.1e}  "
            f"first batch {first[name]:.0f} s"
        )


if __name__ == "__main__":
    main()
