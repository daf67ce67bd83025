"""DCGAN's training step three ways: the usual loop, the usual loop with every trick, the engine.

All three train the same networks from the same weights on the same images, in turns, so that
other load on the machine falls on all. `usual` is the textbook: eager float32, one optimizer each,
fakes shared between the two halves. `tricks` is what an expert writes by hand for this one model:
channels_last, bfloat16, torch.compile, fused Adam, each network frozen in the other's half,
new latents for each half as the engine draws them, and the engine's C heap. The overhead is the
engine against `tricks`.

    python tests/benchmarks/bench_dcgan.py [--size 64] [--batch 64] [--turns 15] [--json]
"""

import copy
from collections.abc import Callable

import click
import torch
from loops import PLAIN_TRAIN, plain_run, random_images, serve_engine
from torch import Tensor, nn
from torch.nn.functional import softplus
from turns import Kind, common_arguments, compete, options, serve, show

from ganforge.config.models import PipelineConfig
from ganforge.interfaces.spec import ImageSpec
from ganforge.training.cpu.heap import keep_heap
from ganforge.training.precision import has_bf16

Z_DIM = 100
KINDS = (Kind("step", 1.0, 0),)
LOOPS = ("usual", "tricks", "engine")
ROLES = ("generator", "discriminator")


def pipeline(batch: int, channels: int, train: dict[str, object]) -> PipelineConfig:
    """A pipeline file of the plain DCGAN."""
    return PipelineConfig.model_validate(
        {
            "name": "bench-dcgan",
            "model": {"architecture": "dcgan", "base_channels": channels},
            "train": {"batch_size": batch, "slots": 1, **train},
        }
    )


def usual_step(gen: nn.Module, disc: nn.Module, real: Tensor) -> Callable[[int], float]:
    """The textbook: discriminator on real and fake, then the generator on the same fakes."""
    gen_optimizer = torch.optim.Adam(gen.parameters(), lr=2e-4, betas=(0.5, 0.999))
    disc_optimizer = torch.optim.Adam(disc.parameters(), lr=2e-4, betas=(0.5, 0.999))
    c = real.new_zeros(len(real), 0)

    def step(_: int) -> float:
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


def tricks_step(gen: nn.Module, disc: nn.Module, real: Tensor) -> Callable[[int], float]:
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

    def step(_: int) -> float:
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


@click.command()
@options(size=64, batch=64, turns=15, loops=LOOPS)
@click.option("--channels", default=64, help="Base channels of both networks.")
def main(
    size: int,
    batch: int,
    channels: int,
    turns: int,
    precision: str,
    compiled: bool,
    as_json: bool,
    served: str | None,
) -> None:
    """Time all three and print images per second and ratios."""
    if served is None:
        arguments = common_arguments(size, batch, precision, compiled)
        arguments.append(f"--channels={channels}")
        result = compete(__file__, arguments, KINDS, batch, turns, LOOPS)
        overhead = float(result["engine_step_sec"]) / float(result["tricks_step_sec"]) - 1
        show({"size": size, **result, "engine_overhead": overhead}, as_json)
        return
    spec, img = ImageSpec(size, size, 3), random_images(size, batch)
    if served == "engine":
        config = pipeline(batch, channels, {"precision": precision, "compile": compiled})
        serve_engine(config, spec, {"image": img}, "loss/discriminator/adversarial", KINDS)
        return
    if served == "tricks" and not torch.cuda.is_available():
        keep_heap()
    run = plain_run(pipeline(batch, channels, PLAIN_TRAIN), spec)
    gen, disc = (run.nets.eager(role).requires_grad_(True) for role in ROLES)
    real = img.to(run.runtime.device).float().div(127.5).sub(1)
    step = usual_step if served == "usual" else tricks_step
    serve(step(gen, disc, real), KINDS, counts=served == "usual")


if __name__ == "__main__":
    main()
