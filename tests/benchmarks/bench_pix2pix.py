"""pix2pix's training step: the usual eager float32 loop against ganforge's engine.

Both train the same networks from the same weights on the same pair, in turns, so that other load
on the machine falls on both. The usual loop is what the paper's step reads like in plain PyTorch:
torch's own layers, and the discriminator frozen in the generator's half.

    python tests/benchmarks/bench_pix2pix.py [--size 256] [--turns 7] [--json]
"""

import click
import torch
from loops import PLAIN_TRAIN, plain_run, random_images, serve_engine, with_torch_layers
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, l1_loss
from turns import Kind, common_arguments, compete, options, serve, show

from ganforge.config.models import PipelineConfig
from ganforge.interfaces.spec import ImageSpec

KINDS = (Kind("step", 1.0, 0),)


class UsualLoop:
    """The paper's step in plain PyTorch."""

    def __init__(self, networks: dict[str, nn.Module], device: torch.device) -> None:
        nets = {role: with_torch_layers(net).to(device) for role, net in networks.items()}
        self.generator, self.discriminator = nets["generator"], nets["discriminator"]
        self.optimizers = [
            torch.optim.Adam(net.parameters(), lr=2e-4, betas=(0.5, 0.999))
            for net in (self.generator, self.discriminator)
        ]

    def _loss(self, img: Tensor, source: Tensor, label: float) -> Tensor:
        logits = self.discriminator(torch.cat([source, img], 1))
        return binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))

    def step(self, source: Tensor, target: Tensor) -> float:
        """One step; returns the generator's loss."""
        gen_img = self.generator(source)
        self.discriminator.requires_grad_(False)
        self.optimizers[0].zero_grad()
        loss = self._loss(gen_img, source, 1.0) + 100 * l1_loss(gen_img, target)
        loss.backward()
        self.optimizers[0].step()
        self.discriminator.requires_grad_(True)
        self.optimizers[1].zero_grad()
        for img, label in ((target, 1.0), (gen_img.detach(), 0.0)):
            (0.5 * self._loss(img, source, label)).backward()
        self.optimizers[1].step()
        return loss.item()


def pipeline(batch: int, train: dict[str, object]) -> PipelineConfig:
    """A pipeline file of the paper's recipe, without dropout, so that the losses are equal."""
    return PipelineConfig.model_validate(
        {
            "name": "bench-pix2pix",
            "model": {"architecture": "pix2pix", "dropout": 0.0},
            "loss": "nonsaturating",
            "train": {"batch_size": batch, "slots": 1, "ema_halflife_kimg": 0, **train},
        }
    )


@click.command()
@options(size=256, batch=1, turns=7)
def main(
    size: int,
    batch: int,
    turns: int,
    precision: str,
    compiled: bool,
    as_json: bool,
    served: str | None,
) -> None:
    """Time both and print images per second and their ratio."""
    if served is None:
        arguments = common_arguments(size, batch, precision, compiled)
        show({"size": size, **compete(__file__, arguments, KINDS, batch, turns)}, as_json)
        return
    spec = ImageSpec(size, size, 3, source_channels=3)
    both = random_images(size, 2 * batch)
    fields = dict(zip(("source", "target"), both.chunk(2), strict=True))
    if served == "usual":
        run = plain_run(pipeline(batch, PLAIN_TRAIN), spec)
        loop = UsualLoop(run.nets.modules(), run.runtime.device)
        floats = [img.to(run.runtime.device).float() / 127.5 - 1 for img in fields.values()]
        serve(lambda _: loop.step(*floats), KINDS, counts=True)
        return
    config = pipeline(batch, {"precision": precision, "compile": compiled})
    serve_engine(config, spec, fields, "loss/generator/", KINDS)


if __name__ == "__main__":
    main()
