"""StyleGAN2's full training: grouped convolutions in eager float32 against ganforge's engine.

Both train the same networks with the logistic loss, lazy R1 (every 16 steps), path length (every 4,
on half the images), style mixing and an average of the weights. `usual` builds each image's weights
and convolves them as groups, as the paper has it, with a depthwise convolution for each filter, in
plain PyTorch. `engine` is what a pipeline file runs: bfloat16, channels_last, torch.compile, one
convolution for all images. A step's mean time weighs steps without penalties (12 of 16), with path
length (3) and with both (1).

    python tests/benchmarks/bench_stylegan2.py [--size 64] [--batch 16] [--turns 3] [--json]
"""

from collections.abc import Callable

import click
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus
from turns import Kind, compete, serve, show

from ganforge.batch import ImageSpec
from ganforge.config import PipelineConfig
from ganforge.layers import resample
from ganforge.training.build import build_run
from ganforge.training.loop import make_batches, make_stepper
from ganforge.training.progress import Progress
from ganforge.training.runtime import Runtime

KINDS = (
    Kind("plain", 12 / 16, 0),
    Kind("path_length", 3 / 16, 3),
    Kind("both", 1 / 16, 15),
)
R1_EVERY, PATH_EVERY, R1_GAMMA, PATH_WEIGHT = 16, 4, 1.0, 2.0


def pipeline(batch: int, model: dict[str, object], train: dict[str, object]) -> PipelineConfig:
    """A pipeline file of the full recipe."""
    return PipelineConfig.model_validate(
        {
            "name": "bench-stylegan2",
            "model": {"architecture": "stylegan2", **model},
            "loss": {
                "name": "nonsaturating",
                "regularizers": [
                    {"name": "r1", "gamma": R1_GAMMA, "every": R1_EVERY},
                    {"name": "path_length", "weight": PATH_WEIGHT, "every": PATH_EVERY},
                ],
            },
            "train": {"batch_size": batch, "slots": 1, **train},
        }
    )


class UsualLoop:
    """The paper's step in plain PyTorch."""

    def __init__(self, gen: nn.Module, disc: nn.Module, average: nn.Module, real: Tensor) -> None:
        self.gen, self.disc, self.average, self.real = gen, disc, average, real
        self.c = real.new_zeros(len(real), 0)
        self.mean_length = torch.zeros((), device=real.device)
        gen_scale, disc_scale = PATH_EVERY / (PATH_EVERY + 1), R1_EVERY / (R1_EVERY + 1)
        self.gen_optimizer = self._adam(gen, gen_scale)
        self.disc_optimizer = self._adam(disc, disc_scale)

    def _adam(self, network: nn.Module, scale: float) -> torch.optim.Adam:
        return torch.optim.Adam(
            network.parameters(), lr=0.0025 * scale, betas=(0.0, 0.99**scale), eps=1e-8
        )

    def _latent(self, num: int) -> Tensor:
        return torch.randn(num, self.gen.mapping.z_dim, device=self.real.device)

    def _update(self, network: nn.Module, loss: Callable[[], Tensor]) -> float:
        trains_gen = network is self.gen
        self.gen.requires_grad_(trains_gen)
        self.disc.requires_grad_(not trains_gen)
        optimizer = self.gen_optimizer if trains_gen else self.disc_optimizer
        optimizer.zero_grad()
        value = loss()
        value.backward()
        optimizer.step()
        return value.item()

    def _disc_loss(self) -> Tensor:
        with torch.no_grad():
            fake = self.gen(self._latent(len(self.real)), self.c)
        real_loss = softplus(-self.disc(self.real, self.c)).mean()
        return real_loss + softplus(self.disc(fake, self.c)).mean()

    def _r1_loss(self) -> Tensor:
        img = self.real.detach().requires_grad_(True)
        logits = self.disc(img, self.c).sum()
        (gradient,) = torch.autograd.grad(logits, img, create_graph=True)
        return gradient.square().sum(dim=(1, 2, 3)).mean() * (R1_GAMMA / 2 * R1_EVERY)

    def _gen_loss(self) -> Tensor:
        fake = self.gen(self._latent(len(self.real)), self.c)
        return softplus(-self.disc(fake, self.c)).mean()

    def _path_loss(self) -> Tensor:
        num = max(1, len(self.real) // 2)
        ws = self.gen.styles(self._latent(num), self.c[:num])
        img = self.gen.synthesis(ws)
        noise = torch.randn_like(img) / (img.shape[2] * img.shape[3]) ** 0.5
        (gradient,) = torch.autograd.grad((img * noise).sum(), ws, create_graph=True)
        lengths = gradient.square().sum(dim=2).mean(dim=1).sqrt()
        self.mean_length.lerp_(lengths.detach().mean(), 0.01)
        return (lengths - self.mean_length).square().mean() * (PATH_WEIGHT * PATH_EVERY)

    def step(self, number: int) -> float:
        """One step; returns the generator's loss."""
        self._update(self.disc, self._disc_loss)
        if (number + 1) % R1_EVERY == 0:
            self._update(self.disc, self._r1_loss)
        loss = self._update(self.gen, self._gen_loss)
        if (number + 1) % PATH_EVERY == 0:
            self._update(self.gen, self._path_loss)
        with torch.no_grad():
            for own, live in zip(self.average.parameters(), self.gen.parameters(), strict=True):
                own.lerp_(live, 0.001)
        return loss


def num_parameters(networks: dict[str, nn.Module]) -> dict[str, int]:
    """By role."""
    return {role: sum(p.numel() for p in net.parameters()) for role, net in networks.items()}


def run_usual(img: Tensor, spec: ImageSpec, model: dict[str, object]) -> None:
    """Serve the textbook loop."""
    # As published: a depthwise convolution for every filter.
    resample._MAX_MATRIX_SIDE = 0
    config = pipeline(
        len(img),
        {**model, "modulation": "grouped"},
        {"precision": "fp32", "channels_last": False, "compile": False},
    )
    run = build_run(config, spec, Runtime("fp32"))
    nets = run.nets.modules()
    for network in nets.values():
        network.train()
    real = img.to(run.runtime.device).float().div(127.5).sub(1)
    average = run.ema.networks["generator"]
    loop = UsualLoop(nets["generator"], nets["discriminator"], average, real)
    serve(loop.step, KINDS, parameters=num_parameters(nets))


def run_engine(
    img: Tensor, spec: ImageSpec, model: dict[str, object], train: dict[str, object]
) -> None:
    """Serve the engine."""
    config = pipeline(len(img), model, train)
    run = build_run(config, spec, Runtime(config.train.precision))
    stepper = make_stepper(run)

    def step(number: int) -> float:
        progress = Progress(number, number * len(img))
        result = stepper.step(make_batches(run, [{"image": img}]), progress)
        run.ema.update(progress.nimg + len(img), len(img))
        return float(result.sums["loss/generator/adversarial"].item())

    serve(step, KINDS, parameters=num_parameters(run.nets.modules()))


@click.command()
@click.option("--size", default=64, help="Side of the images, in pixels.")
@click.option("--batch", default=16, help="Images per step.")
@click.option("--channel-base", default=16384, help="Channels times resolution.")
@click.option("--channel-max", default=512, help="Upper limit of channels.")
@click.option("--turns", default=3, help="Timed steps of each kind.")
@click.option("--precision", default="bf16", type=click.Choice(["bf16", "fp32"]))
@click.option("--compile/--no-compile", "compiled", default=True, help="Of the engine.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
@click.option("--serve", "served", type=click.Choice(["usual", "engine"]), hidden=True)
def main(
    size: int,
    batch: int,
    channel_base: int,
    channel_max: int,
    turns: int,
    precision: str,
    compiled: bool,
    as_json: bool,
    served: str | None,
) -> None:
    """Time both and print images per second, their ratio and peaks of memory."""
    spec = ImageSpec(size, size, 3)
    model = {"channel_base": channel_base, "channel_max": channel_max}
    if served is None:
        options = {
            "size": size, "batch": batch, "channel-base": channel_base,
            "channel-max": channel_max, "precision": precision,
        }  # fmt: skip
        arguments = [f"--{name}={value}" for name, value in options.items()]
        arguments.append("--compile" if compiled else "--no-compile")
        result = compete(__file__, ("usual", "engine"), arguments, KINDS, batch, turns)
        show({"size": size, "precision": precision, "compiled": compiled, **result}, as_json)
        return
    generator = torch.Generator().manual_seed(0)
    img = torch.randint(256, (batch, 3, size, size), dtype=torch.uint8, generator=generator)
    if served == "usual":
        run_usual(img, spec, model)
    else:
        run_engine(img, spec, model, {"precision": precision, "compile": compiled})


if __name__ == "__main__":
    main()
