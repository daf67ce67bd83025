"""Compares what `ganforge plan` predicts with training times that authors published.

    python tests/benchmarks/plan_published.py [--only NAME] [--fit]

Each row counts our recipe at the authors' batch, losses and precision, and compares the predicted
seconds for 1,000 images with the published ones. `--fit` searches the constants of
`ganforge.planning.roofline` that bring all rows closest. Some minutes; no GPU is used.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ganforge.config.load import load_pipeline
from ganforge.config.models import PipelineConfig
from ganforge.planning import roofline
from ganforge.planning.gpus import parse_gpus
from ganforge.planning.plan import phase_times
from ganforge.planning.workload import Workload, count_work
from ganforge.registry.components import resolve
from ganforge.registry.plugins import get_registry
from ganforge.training.fields import expected_spec

DAY, HOUR = 86400.0, 3600.0


@dataclass(frozen=True)
class Case:
    """A published configuration.

    Attributes:
        name: for people.
        pipeline: our recipe.
        overrides: what brings it to theirs.
        micro_batch: images of a GPU's forward pass.
        published: (GPUs, images of a step, seconds for 1,000 images).
        smallest_half: side from which they compute in float16; None: all in float32.
        is_fused: whether their code fuses pointwise operations, in kernels written by hand.
        source: where they publish it.
    """

    name: str
    pipeline: str
    overrides: tuple[str, ...]
    micro_batch: int
    published: tuple[tuple[str, int, float], ...]
    smallest_half: int | None
    is_fused: bool
    source: str


STYLEGAN1 = "NVlabs/stylegan, README"
STYLEGAN2 = "NVlabs/stylegan2, README"
ADA = "NVlabs/stylegan2-ada-pytorch, README"
STYLEGAN3 = "NVlabs/stylegan3, docs/configs.md"
R1_ALWAYS = "loss.regularizers=[{name: r1, gamma: 10}]"


def stylegan1(side: int, micro_batch: int, *published: tuple[str, int, float]) -> Case:
    """Days for 25 million images; R1 at each step, as theirs."""
    per_kimg = tuple((gpus, batch, seconds / 25000) for gpus, batch, seconds in published)
    overrides = (f"data.resolution={side}", R1_ALWAYS)
    recipe = "pipelines/stylegan1_ffhq1024.yaml"
    return Case(
        f"StyleGAN {side}", recipe, overrides, micro_batch, per_kimg, None, False, STYLEGAN1
    )


def stylegan2(
    name: str,
    side: int,
    base: int,
    micro_batch: int,
    *published: tuple[str, int, float],
    source: str = STYLEGAN3,
    more: tuple[str, ...] = (),
) -> Case:
    """Seconds for 1,000 images; float16 in the four largest sizes, but for the first code."""
    overrides = (f"data.resolution={side}", f"model.channel_base={base}", *more)
    recipe = "pipelines/stylegan_ffhq.yaml"
    smallest = None if source == STYLEGAN2 else side // 8
    name = f"{name} {side}"
    return Case(name, recipe, overrides, micro_batch, published, smallest, True, source)


def ada(side: int, base: int, micro_batch: int, *published: tuple[str, int, float]) -> Case:
    """The `auto` configuration; the middle of the published range."""
    more = ("augment={name: ada}", "model.mapping_layers=2")
    name = "StyleGAN2-ADA"
    return stylegan2(name, side, base, micro_batch, *published, source=ADA, more=more)


def stylegan3(side: int, base: int, micro_batch: int, *published: tuple[str, int, float]) -> Case:
    """Translation-equivariant."""
    overrides = (f"data.resolution={side}", f"model.channel_base={base}")
    recipe, name = "pipelines/stylegan3_ffhqu256.yaml", f"StyleGAN3-T {side}, base {base}"
    return Case(name, recipe, overrides, micro_batch, published, side // 8, True, STYLEGAN3)


CASES = (
    stylegan1(1024, 4, ("1xV100", 4, 41 * DAY + 4 * HOUR), ("8xV100", 32, 6 * DAY + 14 * HOUR)),
    stylegan1(512, 4, ("1xV100", 4, 24 * DAY + 21 * HOUR), ("8xV100", 32, 4 * DAY + 10 * HOUR)),
    stylegan1(256, 4, ("8xV100", 32, 3 * DAY + 8 * HOUR)),
    stylegan1(256, 8, ("1xV100", 8, 14 * DAY + 22 * HOUR)),
    stylegan2(
        *("StyleGAN2, config F,", 1024, 32768, 4),
        *(("1xV100", 32, (69 * DAY + 23 * HOUR) / 25000), ("8xV100", 32, 9.75 * DAY / 25000)),
        source=STYLEGAN2,
    ),
    stylegan2(
        *("StyleGAN2, config F,", 256, 32768, 4),
        *(("1xV100", 32, (32 * DAY + 13 * HOUR) / 25000), ("8xV100", 32, 4.75 * DAY / 25000)),
        source=STYLEGAN2,
    ),
    ada(128, 16384, 32, ("1xV100", 32, 13.25)),
    ada(128, 16384, 8, ("8xV100", 64, 4.4)),
    ada(256, 16384, 16, ("1xV100", 16, 22.9)),
    ada(256, 16384, 8, ("8xV100", 64, 4.95)),
    ada(512, 32768, 8, ("1xV100", 8, 73.7), ("8xV100", 64, 9.6)),
    ada(1024, 32768, 4, ("1xV100", 4, 158.0), ("8xV100", 32, 20.4)),
    stylegan2("StyleGAN2", 256, 16384, 8, ("8xV100", 64, 4.01), ("8xA100", 64, 2.47)),
    stylegan2("StyleGAN2", 256, 16384, 16, ("1xV100", 16, 20.84), ("1xA100", 16, 12.53)),
    stylegan2(
        *("StyleGAN2", 1024, 32768, 4),
        *(("1xV100", 4, 141.83), ("1xA100", 4, 90.39), ("8xA100", 32, 14.57)),
    ),
    stylegan3(256, 32768, 16, ("1xV100", 32, 89.15), ("1xA100", 32, 49.81)),
    stylegan3(256, 32768, 4, ("8xV100", 32, 13.04), ("8xA100", 32, 7.32)),
    stylegan3(256, 16384, 8, ("8xA100", 64, 3.74)),
    stylegan3(512, 32768, 8, ("1xV100", 32, 137.33), ("1xA100", 32, 90.25)),
    stylegan3(512, 32768, 4, ("8xV100", 32, 18.47), ("8xA100", 32, 12.29)),
    stylegan3(
        *(1024, 32768, 4),
        *(("1xV100", 32, 221.85), ("1xA100", 32, 156.91)),
        *(("8xV100", 32, 28.71), ("8xA100", 32, 20.01)),
    ),
    Case(
        name="BigGAN 128",
        pipeline="pipelines/biggan_imagenet.yaml",
        overrides=("loss.n_critic=1", "loss.regularizers=[]"),
        micro_batch=32,
        published=(("8xV100", 2048, 15 * DAY / 307200),),
        smallest_half=None,
        is_fused=False,
        source="ajbrock/BigGAN-PyTorch, README",
    ),
)


def workload(case: Case) -> tuple[PipelineConfig, Workload]:
    """What a GPU computes for its images."""
    overrides = (*case.overrides, f"train.compile={str(case.is_fused).lower()}")
    config = load_pipeline(case.pipeline, overrides, get_registry().options_model)
    components = resolve(config)
    chosen = components.architecture
    reads = chosen.component.reads(chosen.config)
    spec = expected_spec(config, reads)
    assert spec is not None
    half = None if case.smallest_half is None else torch.float16
    work = count_work(
        components,
        spec,
        reads.required,
        case.micro_batch,
        half,
        case.smallest_half,
        is_eager_fused=case.is_fused,
    )
    return config, work


def predicted(config: PipelineConfig, work: Workload, gpus: str, batch: int) -> float:
    """Seconds for 1,000 images."""
    cluster = parse_gpus(gpus)
    slots = batch // cluster.count // work.micro_batch
    times = phase_times(config, work, cluster, slots, None)
    return sum(phase.sec_per_step for phase in times) / batch * 1000


Counted = tuple[Case, PipelineConfig, Workload]


def rows(counted: Sequence[Counted]) -> Iterator[tuple[Case, str, float, float]]:
    """Each published number with its prediction."""
    for case, config, work in counted:
        for gpus, batch, seconds in case.published:
            yield case, gpus, seconds, predicted(config, work, gpus, batch)


CONSTANTS = ("HALF_EFFICIENCY", "FLOAT_EFFICIENCY", "MEMORY_EFFICIENCY", "LAUNCH_SEC")


def fit(counted: Sequence[Counted], tries: int = 400) -> np.ndarray[Any, Any]:
    """A random walk that lowers the eighth-power mean of the logarithms of all ratios."""

    def loss(values: np.ndarray[Any, Any]) -> float:
        for name, value in zip(CONSTANTS, values, strict=True):
            setattr(roofline, name, float(value))
        off = [np.log(found / seconds) for _, _, seconds, found in rows(counted)]
        return float(np.mean(np.power(off, 8)))

    rng = np.random.default_rng(0)
    best = np.array([getattr(roofline, name) for name in CONSTANTS])
    lowest, scale = loss(best), 0.2
    for count in range(1, tries + 1):
        trial = best * np.exp(rng.normal(size=4) * scale)
        found = loss(trial)
        if found < lowest:
            best, lowest = trial, found
        scale *= 0.99 if count % 2 else 1.0
    loss(best)
    return best


def main() -> None:
    """Write the table for docs/planning.md."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", help="rows whose name begins so")
    parser.add_argument("--fit", action="store_true", help="fit the constants first")
    options = parser.parse_args()
    counted = [(case, *workload(case)) for case in CASES if case.name.startswith(options.only)]
    if options.fit:
        sys.stdout.write(f"{dict(zip(CONSTANTS, fit(counted).tolist(), strict=True))}\n\n")
    sys.stdout.write("| network | GPUs | published, s/kimg | predicted | off by | source |\n")
    sys.stdout.write("|---|---|--:|--:|--:|---|\n")
    for case, gpus, seconds, found in rows(counted):
        off = f"{found / seconds - 1:+.0%}"
        line = f"| {case.name} | {gpus} | {seconds:.3g} | {found:.3g} | {off} | {case.source} |\n"
        sys.stdout.write(line)


if __name__ == "__main__":
    main()
