"""CycleGAN's training step: the usual eager float32 loop against ganforge's engine.

Both train the same networks from the same weights on the same images, in turns, so that other
load on the machine falls on both. The usual loop is what the paper's step reads like in plain
PyTorch: torch's own layers, one image per forward, discriminators frozen in the generators' half.

    python tests/benchmarks/bench_cyclegan.py [--size 128] [--steps 5] [--json]
"""

import itertools
import json
import statistics
import time
from collections.abc import Callable

import click
import torch
from ganforge_cyclegan.networks import InstanceNorm, ReflectionPad
from torch import Tensor, nn
from torch.nn.functional import l1_loss, mse_loss
from torch.utils.flop_counter import FlopCounterMode

from ganforge.batch import ImageSpec
from ganforge.config import PipelineConfig
from ganforge.training.build import build_run
from ganforge.training.heap import keep_heap
from ganforge.training.loop import make_batches, make_stepper
from ganforge.training.run_state import TrainingRun
from ganforge.training.runtime import Runtime


class TorchInstanceNorm(nn.Module):
    """What nn.InstanceNorm2d calls, without its check of the number of channels."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise [N, C, H, W]."""
        return nn.functional.instance_norm(x)


def with_torch_layers(network: nn.Module) -> nn.Module:
    """Replace the plugin's own layers by torch's, in place."""
    for name, child in network.named_children():
        if isinstance(child, InstanceNorm):
            setattr(network, name, TorchInstanceNorm())
        elif isinstance(child, ReflectionPad):
            setattr(network, name, nn.ReflectionPad2d(child.pad))
        else:
            with_torch_layers(child)
    return network


class UsualLoop:
    """The paper's step in plain PyTorch."""

    def __init__(self, networks: dict[str, nn.Module], device: torch.device) -> None:
        self.nets = {role: with_torch_layers(net).to(device) for role, net in networks.items()}
        self.pools: dict[str, list[Tensor]] = {"source": [], "target": []}
        self.optimizers = [self._adam("generator"), self._adam("discriminator")]

    def _adam(self, kind: str) -> torch.optim.Adam:
        nets = [net for role, net in self.nets.items() if role.startswith(kind)]
        parameters = itertools.chain(*(net.parameters() for net in nets))
        return torch.optim.Adam(parameters, lr=2e-4, betas=(0.5, 0.999))

    def _freeze_discriminators(self, frozen: bool) -> None:
        for role, net in self.nets.items():
            if role.startswith("discriminator"):
                net.requires_grad_(not frozen)

    def step(self, source: Tensor, target: Tensor) -> float:
        """One step; returns the generators' loss."""
        real = {"source": source, "target": target}
        nets = self.nets
        gen = {
            "target": nets["generator_target"](source),
            "source": nets["generator_source"](target),
        }
        self._freeze_discriminators(True)
        self.optimizers[0].zero_grad()
        loss = torch.zeros((), device=source.device)
        for domain, other in (("target", "source"), ("source", "target")):
            logits = nets[f"discriminator_{domain}"](gen[domain])
            loss = loss + mse_loss(logits, torch.ones_like(logits))
            loss = loss + 10 * l1_loss(nets[f"generator_{domain}"](gen[other]), real[domain])
            loss = loss + 5 * l1_loss(nets[f"generator_{domain}"](real[domain]), real[domain])
        loss.backward()
        self.optimizers[0].step()
        self._freeze_discriminators(False)
        self.optimizers[1].zero_grad()
        for domain in real:
            shown = torch.cat([self._pooled(domain, img) for img in gen[domain].detach().split(1)])
            for img, label in ((real[domain], 1.0), (shown, 0.0)):
                logits = nets[f"discriminator_{domain}"](img)
                (0.5 * mse_loss(logits, torch.full_like(logits, label))).backward()
        self.optimizers[1].step()
        return loss.item()

    def _pooled(self, domain: str, img: Tensor) -> Tensor:
        pool = self.pools[domain]
        if len(pool) < 50:
            pool.append(img)
            return img
        if torch.rand(()) < 0.5:
            return img
        chosen = int(torch.randint(50, ()))
        pool[chosen], img = img, pool[chosen]
        return img


def engine_run(
    size: int, batch: int, blocks: int | None, options: dict[str, object]
) -> TrainingRun:
    """A run of the engine as a pipeline file would make it."""
    config = PipelineConfig.model_validate(
        {
            "name": "bench-cyclegan",
            "model": {"architecture": "cyclegan", "num_blocks": blocks},
            "loss": "least_squares",
            "train": {"batch_size": batch, "ema_halflife_kimg": 0, **options},
        }
    )
    runtime = Runtime(precision=config.train.precision)
    return build_run(config, ImageSpec(size, size, 3, source_channels=3), runtime)


def engine_step(run: TrainingRun, images: list[dict[str, Tensor]]) -> Callable[[], float]:
    """One step of the engine; returns the generators' loss."""
    stepper = make_stepper(run)
    batch_size = run.config.train.batch_size

    def step() -> float:
        result = stepper.step(make_batches(run, images), run.progress)
        run.progress.advance(batch_size)
        run.ema.update(run.progress.nimg, batch_size)
        terms = [v for name, v in result.sums.items() if name.startswith("loss/generators/")]
        return float(torch.stack(terms).sum())

    return step


def seconds(step: Callable[[], float], clock: Callable[[], float]) -> float:
    """Time of one step; its loss has reached the host by then."""
    start = clock()
    step()
    return clock() - start


@click.command()
@click.option("--size", default=128, help="Side of the images, in pixels.")
@click.option("--batch", default=1, help="Images per step.")
@click.option("--blocks", default=None, type=int, help="Residual blocks. Default: by size.")
@click.option("--steps", default=5, help="Steps that are timed, in turns.")
@click.option("--precision", default="auto", type=click.Choice(["auto", "bf16", "fp32"]))
@click.option("--compile/--no-compile", "compiled", default=True)
@click.option(
    "--cpu-time",
    is_flag=True,
    help="Count CPU seconds, for a busy machine; start it with GANFORGE_NUM_THREADS=1.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def main(
    size: int,
    batch: int,
    blocks: int | None,
    steps: int,
    precision: str,
    compiled: bool,
    cpu_time: bool,
    as_json: bool,
) -> None:
    """Time both and print images per second and their ratio."""
    if not torch.cuda.is_available():
        keep_heap()
    run = engine_run(size, batch, blocks, {"precision": precision, "compile": compiled})
    usual_nets = run.architecture.networks(run.spec)
    for role, net in usual_nets.items():
        net.load_state_dict(run.nets.eager(role).state_dict())
    generator = torch.Generator().manual_seed(0)
    images = {
        name: torch.randint(256, (batch, 3, size, size), dtype=torch.uint8, generator=generator)
        for name in ("source", "target")
    }
    device = run.runtime.device
    floats = [images[name].to(device).float() / 127.5 - 1 for name in ("source", "target")]
    usual, engine = UsualLoop(usual_nets, device), engine_step(run, [images])
    first = {"usual": usual.step(*floats), "engine": engine()}
    engine()
    with FlopCounterMode(display=False) as counter:
        usual.step(*floats)
    gflop = counter.get_total_flops() / batch / 1e9
    clock = time.process_time if cpu_time else time.perf_counter
    times: dict[str, list[float]] = {"usual": [], "engine": []}
    for _ in range(steps):
        times["usual"].append(seconds(lambda: usual.step(*floats), clock))
        times["engine"].append(seconds(engine, clock))
    settings = {"size": size, "precision": precision, "compiled": compiled, "cpu_time": cpu_time}
    report(first, times, batch, gflop, as_json, **settings)


def report(
    first: dict[str, float],
    times: dict[str, list[float]],
    batch: int,
    gflop: float,
    as_json: bool,
    **settings: object,
) -> None:
    """Print medians, their ratio and the first losses, which show that both do the same work."""
    median = {name: statistics.median(values) for name, values in times.items()}
    result = {
        **settings,
        "batch": batch,
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "usual_img_per_sec": batch / median["usual"],
        "engine_img_per_sec": batch / median["engine"],
        "usual_gflop_per_image": gflop,
        "usual_gflop_per_sec": gflop * batch / median["usual"],
        "ratio": median["usual"] / median["engine"],
        "first_loss_usual": first["usual"],
        "first_loss_engine": first["engine"],
    }
    if as_json:
        click.echo(json.dumps(result))
        return
    for name, value in result.items():
        click.echo(f"{name:20} {value:.4g}" if isinstance(value, float) else f"{name:20} {value}")


if __name__ == "__main__":
    main()
