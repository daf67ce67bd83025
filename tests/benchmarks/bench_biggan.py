"""BigGAN's training at 32x32: eager float32 against ganforge's engine.

Both train the same class-conditional networks (hinge loss, 4 discriminator steps for each generator
step, an average of the weights). `usual` is plain PyTorch, with real and generated images in one
discriminator batch, as in the authors' code. `engine` is what a pipeline file runs: bfloat16,
channels_last, torch.compile. Images are real ones shown to the discriminator; a step's mean time
weighs steps without the generator (3 of 4) and with it (1).

    python tests/benchmarks/bench_biggan.py [--size 32] [--batch 50] [--turns 5] [--json]
"""

from collections.abc import Mapping

import click
import torch
from loops import PLAIN_TRAIN, num_parameters, plain_run, random_images, serve_engine
from torch import Tensor, nn
from torch.nn.functional import one_hot
from turns import Kind, common_arguments, compete, options, serve, show

from ganforge.config.models import PipelineConfig
from ganforge.interfaces.spec import ImageSpec

N_CRITIC, NUM_CLASSES, Z_DIM = 4, 10, 128
KINDS = (Kind("discriminator", 1 - 1 / N_CRITIC, 0), Kind("both", 1 / N_CRITIC, N_CRITIC - 1))


def pipeline(batch: int, channels: int, train: Mapping[str, object]) -> PipelineConfig:
    """A pipeline file of the recipe for CIFAR-10."""
    return PipelineConfig.model_validate(
        {
            "name": "bench-biggan",
            "model": {
                "architecture": "biggan",
                "channels": channels,
                "z_dim": Z_DIM,
                "init": "normal",
            },
            "loss": {"name": "hinge", "n_critic": N_CRITIC},
            "train": {
                "batch_size": batch,
                "slots": 1,
                "optimizer": {"lr": 2e-4},
                "optimizers": {"generator": {"lr": 2e-4}},
                **train,
            },
        }
    )


class UsualLoop:
    """The authors' step in plain PyTorch."""

    def __init__(
        self, gen: nn.Module, disc: nn.Module, average: nn.Module, real: Tensor, c: Tensor
    ) -> None:
        self.gen, self.disc, self.average, self.real, self.c = gen, disc, average, real, c
        self.gen_optimizer = torch.optim.Adam(gen.parameters(), lr=2e-4, betas=(0.0, 0.999))
        self.disc_optimizer = torch.optim.Adam(disc.parameters(), lr=2e-4, betas=(0.0, 0.999))

    def _fake(self) -> Tensor:
        z = torch.randn(len(self.real), Z_DIM, device=self.real.device)
        return self.gen(z, self.c)

    def _discriminator_step(self) -> float:
        self.disc.requires_grad_(True)
        self.gen.requires_grad_(False)
        self.disc_optimizer.zero_grad()
        with torch.no_grad():
            fake = self._fake()
        logits = self.disc(torch.cat([fake, self.real]), torch.cat([self.c, self.c]))
        gen_logits, real_logits = logits.chunk(2)
        loss = (1 - real_logits).relu().mean() + (1 + gen_logits).relu().mean()
        loss.backward()
        self.disc_optimizer.step()
        return loss.item()

    def _generator_step(self) -> None:
        self.disc.requires_grad_(False)
        self.gen.requires_grad_(True)
        self.gen_optimizer.zero_grad()
        (-self.disc(self._fake(), self.c).mean()).backward()
        self.gen_optimizer.step()
        with torch.no_grad():
            for own, live in zip(self.average.parameters(), self.gen.parameters(), strict=True):
                own.lerp_(live, 1e-4)

    def step(self, number: int) -> float:
        """One discriminator step, and the generator's when it is due."""
        loss = self._discriminator_step()
        if (number + 1) % N_CRITIC == 0:
            self._generator_step()
        return loss


def run_usual(img: Tensor, label: Tensor, spec: ImageSpec, channels: int) -> None:
    """Serve the textbook loop."""
    run = plain_run(pipeline(len(img), channels, PLAIN_TRAIN), spec)
    nets, device = run.nets.modules(), run.runtime.device
    real = img.to(device).float().div(127.5).sub(1)
    c = one_hot(label, NUM_CLASSES).float().to(device)
    average = run.ema.networks["generator"]
    loop = UsualLoop(nets["generator"], nets["discriminator"], average, real, c)
    serve(loop.step, KINDS, counts=True, parameters=num_parameters(nets))


@click.command()
@options(size=32, batch=50, turns=5)
@click.option("--channels", default=64, help="The paper's ch.")
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
    """Time both and print images per second, their ratio and peaks of memory."""
    if served is None:
        arguments = common_arguments(size, batch, precision, compiled)
        arguments.append(f"--channels={channels}")
        result = compete(__file__, arguments, KINDS, batch, turns)
        show({"size": size, "precision": precision, "compiled": compiled, **result}, as_json)
        return
    spec = ImageSpec(size, size, 3, class_names=tuple(f"class{k}" for k in range(NUM_CLASSES)))
    img, label = random_images(size, batch), torch.arange(batch) % NUM_CLASSES
    if served == "usual":
        run_usual(img, label, spec, channels)
        return
    config = pipeline(batch, channels, {"precision": precision, "compile": compiled})
    fields = {"image": img, "label": label}
    serve_engine(config, spec, fields, "loss/discriminator/adversarial", KINDS)


if __name__ == "__main__":
    main()
