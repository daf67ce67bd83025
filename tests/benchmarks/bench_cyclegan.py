"""CycleGAN's training step: the usual eager float32 loop against ganforge's engine.

Both train the same networks from the same weights on the same images, in turns, so that other
load on the machine falls on both. The usual loop is what the paper's step reads like in plain
PyTorch: torch's own layers, one image per forward, discriminators frozen in the generators' half.

    python tests/benchmarks/bench_cyclegan.py [--size 128] [--turns 7] [--json]
"""

import itertools

import click
import torch
from loops import PLAIN_TRAIN, plain_run, random_images, serve_engine, with_torch_layers
from torch import Tensor, nn
from torch.nn.functional import l1_loss, mse_loss
from turns import Kind, common_arguments, compete, options, serve, show

from ganforge.config.models import PipelineConfig
from ganforge.interfaces.spec import ImageSpec

KINDS = (Kind("step", 1.0, 0),)


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


def pipeline(batch: int, blocks: int | None, train: dict[str, object]) -> PipelineConfig:
    """A pipeline file of the paper's recipe."""
    return PipelineConfig.model_validate(
        {
            "name": "bench-cyclegan",
            "model": {"architecture": "cyclegan", "num_blocks": blocks},
            "loss": "least_squares",
            "train": {"batch_size": batch, "slots": 1, "ema_halflife_kimg": 0, **train},
        }
    )


@click.command()
@options(size=128, batch=1, turns=7)
@click.option("--blocks", default=None, type=int, help="Residual blocks. Default: by size.")
def main(
    size: int,
    batch: int,
    blocks: int | None,
    turns: int,
    precision: str,
    compiled: bool,
    as_json: bool,
    served: str | None,
) -> None:
    """Time both and print images per second and their ratio."""
    if served is None:
        arguments = common_arguments(size, batch, precision, compiled)
        arguments += [f"--blocks={blocks}"] if blocks else []
        show({"size": size, **compete(__file__, arguments, KINDS, batch, turns)}, as_json)
        return
    spec = ImageSpec(size, size, 3, source_channels=3)
    both = random_images(size, 2 * batch)
    fields = dict(zip(("source", "target"), both.chunk(2), strict=True))
    if served == "usual":
        run = plain_run(pipeline(batch, blocks, PLAIN_TRAIN), spec)
        loop = UsualLoop(run.nets.modules(), run.runtime.device)
        floats = [img.to(run.runtime.device).float() / 127.5 - 1 for img in fields.values()]
        serve(lambda _: loop.step(*floats), KINDS, counts=True)
        return
    config = pipeline(batch, blocks, {"precision": precision, "compile": compiled})
    serve_engine(config, spec, fields, "loss/generators/", KINDS)


if __name__ == "__main__":
    main()
