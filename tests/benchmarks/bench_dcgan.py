"""DCGAN's training step three ways: the usual loop, the usual loop with every trick, the engine.

All three train the same networks from the same weights on the same images, in turns, so that
other load on the machine falls on all. `usual` is the textbook: eager float32, one optimizer each,
fakes shared between the two halves. `tricks` is what an expert writes by hand for this one model:
channels_last, bfloat16, torch.compile, fused Adam, each network frozen in the other's half,
new latents for each half as the engine draws them. The overhead is the engine against `tricks`.

    python tests/benchmarks/bench_dcgan.py [--size 64] [--batch 64] [--steps 20] [--json]
"""

import copy
import json
import statistics
import time
from collections.abc import Callable

import click
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus
from torch.utils.flop_counter import FlopCounterMode

from ganforge.batch import ImageSpec
from ganforge.config import PipelineConfig
from ganforge.training.build import build_run
from ganforge.training.heap import keep_heap
from ganforge.training.loop import make_batches, make_stepper
from ganforge.training.precision import has_bf16
from ganforge.training.run_state import TrainingRun
from ganforge.training.runtime import Runtime

Z_DIM = 100


def usual_step(gen: nn.Module, disc: nn.Module, real: Tensor) -> Callable[[], float]:
    """The textbook: discriminator on real and fake, then the generator on the same fakes."""
    gen_optimizer = torch.optim.Adam(gen.parameters(), lr=2e-4, betas=(0.5, 0.999))
    disc_optimizer = torch.optim.Adam(disc.parameters(), lr=2e-4, betas=(0.5, 0.999))
    c = real.new_zeros(len(real), 0)

    def step() -> float:
        fake = gen(torch.randn(len(real), Z_DIM, device=real.device), c)
        disc_optimizer.zero_grad()
        loss = softplus(-disc(real, c)).mean() + softplus(disc(fake.detach(), c)).mean()
        loss.backward()
        disc_optimizer.step()
        gen_optimizer.zero_grad()
        gen_loss = softplus(-disc(fake, c)).mean()
        gen_loss.backward()
        gen_optimizer.step()
        return float(loss.item())

    return step


def tricks_step(gen: nn.Module, disc: nn.Module, real: Tensor) -> Callable[[], float]:
    """The same with channels_last, bfloat16 if any, compilation, fused Adam, EMA, frozen D."""
    gen = gen.to(memory_format=torch.channels_last)
    disc = disc.to(memory_format=torch.channels_last)
    real = real.to(memory_format=torch.channels_last)
    average = copy.deepcopy(gen).requires_grad_(False)
    options = {"lr": 2e-4, "betas": (0.5, 0.999), "fused": True}
    gen_optimizer = torch.optim.Adam(gen.parameters(), **options)
    disc_optimizer = torch.optim.Adam(disc.parameters(), **options)
    fast_gen, fast_disc = torch.compile(gen, dynamic=False), torch.compile(disc, dynamic=False)
    c = real.new_zeros(len(real), 0)
    bf16 = has_bf16(real.device)

    def forward_backward(loss: Callable[[], Tensor]) -> Tensor:
        with torch.autocast(real.device.type, torch.bfloat16, enabled=bf16):
            value = loss()
        value.backward()
        return value

    def generate() -> Tensor:
        made: Tensor = fast_gen(torch.randn(len(real), Z_DIM, device=real.device), c)
        return made

    def disc_loss() -> Tensor:
        with torch.no_grad():
            fake = generate()
        return (
            softplus(-fast_disc(real, c).float()).mean()
            + softplus(fast_disc(fake, c).float()).mean()
        )

    def gen_loss() -> Tensor:
        return softplus(-fast_disc(generate(), c).float()).mean()

    def step() -> float:
        disc.requires_grad_(True)
        gen.requires_grad_(False)
        loss = forward_backward(disc_loss)
        disc_optimizer.step()
        disc_optimizer.zero_grad()
        disc.requires_grad_(False)
        gen.requires_grad_(True)
        forward_backward(gen_loss)
        gen_optimizer.step()
        gen_optimizer.zero_grad()
        torch._foreach_lerp_(list(average.parameters()), list(gen.parameters()), 0.01)
        for own, live in zip(average.buffers(), gen.buffers(), strict=True):
            own.copy_(live)
        return float(loss.item())

    return step


def engine_run(size: int, batch: int, channels: int) -> TrainingRun:
    """A run of the engine as a pipeline file would make it."""
    config = PipelineConfig.model_validate(
        {
            "name": "bench-dcgan",
            "model": {"architecture": "dcgan", "base_channels": channels},
            "train": {"batch_size": batch, "compile": True},
        }
    )
    return build_run(config, ImageSpec(size, size, 3), Runtime(config.train.precision))


def engine_step(run: TrainingRun, img: Tensor) -> Callable[[], float]:
    """One step of the engine from the loader's bytes on, EMA included."""
    stepper, batch_size = make_stepper(run), run.config.train.batch_size

    def step() -> float:
        result = stepper.step(make_batches(run, [{"image": img}]), run.progress)
        run.progress.advance(batch_size)
        run.ema.update(run.progress.nimg, batch_size)
        return float(result.sums["loss/discriminator/adversarial"].item())

    return step


@click.command()
@click.option("--size", default=64, help="Side of the images, in pixels.")
@click.option("--batch", default=64, help="Images per step.")
@click.option("--channels", default=64, help="Base channels of both networks.")
@click.option("--steps", default=15, help="Steps that are timed, in turns.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def main(size: int, batch: int, channels: int, steps: int, as_json: bool) -> None:
    """Time all three and print images per second and ratios."""
    if not torch.cuda.is_available():
        keep_heap()
    run = engine_run(size, batch, channels)
    nets = run.nets.modules()
    img = torch.randint(256, (batch, 3, size, size), dtype=torch.uint8)
    real = img.to(run.runtime.device).float().div(127.5).sub(1)
    pairs = [[copy.deepcopy(nets[r]) for r in ("generator", "discriminator")] for _ in range(2)]
    for network in (*pairs[0], *pairs[1]):
        network.requires_grad_(True).train()
    for network in pairs[0]:
        network.to(memory_format=torch.contiguous_format)
    steps_by_name = {
        "usual": usual_step(*pairs[0], real),
        "tricks": tricks_step(*pairs[1], real),
        "engine": engine_step(run, img),
    }
    for step in steps_by_name.values():
        step()
        step()
    with FlopCounterMode(display=False) as counter:
        steps_by_name["usual"]()
    gflop = counter.get_total_flops() / batch / 1e9
    times: dict[str, list[float]] = {name: [] for name in steps_by_name}
    for _ in range(steps):
        for name, step in steps_by_name.items():
            start = time.perf_counter()
            step()
            times[name].append(time.perf_counter() - start)
    median = {name: statistics.median(values) for name, values in times.items()}
    result = {
        "size": size,
        "batch": batch,
        "threads": torch.get_num_threads(),
        **{f"{name}_img_per_sec": batch / value for name, value in median.items()},
        "usual_gflop_per_image": gflop,
        "usual_gflop_per_sec": gflop * batch / median["usual"],
        "engine_over_usual": median["usual"] / median["engine"],
        "engine_overhead": median["engine"] / median["tricks"] - 1,
    }
    if as_json:
        click.echo(json.dumps(result))
        return
    for name, value in result.items():
        click.echo(f"{name:20} {value:.4g}")


if __name__ == "__main__":
    main()
