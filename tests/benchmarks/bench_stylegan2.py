"""StyleGAN2's full training: grouped convolutions in eager float32 against ganforge's engine.

Both train the same networks with the logistic loss, lazy R1 (every 16 steps), path length (every 4,
on half the images), style mixing and an average of the weights. `usual` builds each image's weights
and convolves them as groups, as the paper has it, with a depthwise convolution for each filter, in
plain PyTorch. `engine` is what a pipeline file runs: bfloat16, channels_last, torch.compile, one
convolution for all images. A step's mean time weighs steps without penalties (12 of 16), with path
length (3) and with both (1).

    python tests/benchmarks/bench_stylegan2.py [--size 64] [--batch 16] [--turns 3] [--json]
"""

from collections.abc import Callable, Mapping

import click
import torch
from loops import PLAIN_TRAIN, num_parameters, plain_run, random_images, serve_engine
from torch import Tensor, nn
from torch.nn.functional import softplus
from turns import Kind, common_arguments, compete, options, serve, show

from ganforge.config.models import PipelineConfig
from ganforge.interfaces.spec import ImageSpec

KINDS = (
    Kind("plain", 12 / 16, 0),
    Kind("path_length", 3 / 16, 3),
    Kind("both", 1 / 16, 15),
)
R1_EVERY, PATH_EVERY, R1_GAMMA, PATH_WEIGHT = 16, 4, 1.0, 2.0


def pipeline(
    batch: int, model: Mapping[str, object], train: Mapping[str, object]
) -> PipelineConfig:
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
        # Not a leaf: the counter of arithmetic hooks what it sees, and cannot hook leaves.
        img = self.real.detach().requires_grad_(True).clone()
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


def run_usual(img: Tensor, spec: ImageSpec, model: Mapping[str, object]) -> None:
    """Serve the textbook loop."""
    run = plain_run(pipeline(len(img), {**model, "modulation": "grouped"}, PLAIN_TRAIN), spec)
    nets = run.nets.modules()
    real = img.to(run.runtime.device).float().div(127.5).sub(1)
    average = run.ema.networks["generator"]
    loop = UsualLoop(nets["generator"], nets["discriminator"], average, real)
    serve(loop.step, KINDS, counts=True, parameters=num_parameters(nets))


@click.command()
@options(size=64, batch=16, turns=3)
@click.option("--channel-base", default=16384, help="Channels times resolution.")
@click.option("--channel-max", default=512, help="Upper limit of channels.")
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
    if served is None:
        arguments = common_arguments(size, batch, precision, compiled)
        arguments += [f"--channel-base={channel_base}", f"--channel-max={channel_max}"]
        result = compete(__file__, arguments, KINDS, batch, turns)
        show({"size": size, "precision": precision, "compiled": compiled, **result}, as_json)
        return
    spec, img = ImageSpec(size, size, 3), random_images(size, batch)
    model = {"channel_base": channel_base, "channel_max": channel_max}
    if served == "usual":
        run_usual(img, spec, model)
        return
    config = pipeline(batch, model, {"precision": precision, "compile": compiled})
    serve_engine(config, spec, {"image": img}, "loss/generator/adversarial", KINDS)


if __name__ == "__main__":
    main()
