"""A tiny GAN with everything that is hard to keep exact: dropout, BatchNorm, slot state."""

import contextlib
import sys
import types

import torch
from torch import nn

from ganforge.api import (
    ComponentOptions,
    Field,
    NoiseToImage,
    OptimizerConfig,
    Phase,
    hookimpl,
)
from ganforge.config.models import PipelineConfig
from ganforge.interfaces.spec import ImageSpec
from ganforge.registry.components import resolve
from ganforge.registry.plugins import Plugin, get_registry
from ganforge.training.build import build_run
from ganforge.training.engine.loop import make_batches, train
from ganforge.training.engine.meter import Meter
from ganforge.training.engine.step import Stepper
from ganforge.training.runtime import Runtime

SPEC = ImageSpec(4, 4, 1)


class ToyConfig(ComponentOptions):
    width: int = Field(8, description="Hidden units.")
    dropout: float = 0.2
    batchnorm: bool = True
    extra_phase_every: int = Field(0, description="0: none.")
    poison_at: int = Field(-1, description="The step at which the generator's loss is NaN.")


class ToyGenerator(nn.Module):
    def __init__(self, config, spec):
        super().__init__()
        self.shape = (spec.channels, spec.height, spec.width)
        self.layers = nn.Sequential(
            # A bias before BatchNorm has gradient zero but for rounding, which Adam would amplify.
            nn.Linear(4, config.width, bias=not config.batchnorm),
            nn.BatchNorm1d(config.width) if config.batchnorm else nn.Identity(),
            nn.ReLU(),
            nn.Linear(config.width, spec.channels * spec.height * spec.width),
        )

    def forward(self, z, c):
        return torch.tanh(self.layers(z)).view(-1, *self.shape)


class ToyDiscriminator(nn.Module):
    def __init__(self, config, spec):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(spec.channels * spec.height * spec.width, config.width),
            nn.Softplus(),
            nn.Dropout(config.dropout),
            nn.Linear(config.width, 1),
        )

    def forward(self, img, c):
        return self.layers(img).flatten()


class Toy(NoiseToImage[ToyConfig]):
    """A two-layer GAN for tests."""

    name, Config, paper = "toy", ToyConfig, "none"
    optimizer = OptimizerConfig(lr=1e-2)

    @property
    def z_dim(self):
        return 4

    def networks(self):
        networks = {
            "generator": ToyGenerator(self.config, self.spec),
            "discriminator": ToyDiscriminator(self.config, self.spec),
        }
        if self.config.extra_phase_every:
            networks["encoder"] = nn.Linear(self.spec.height * self.spec.width, 4)
        return networks

    def phases(self, objective):
        phases = super().phases(objective)
        if self.config.extra_phase_every:
            phases.append(
                Phase("encoder", ("encoder",), self.encode, every=self.config.extra_phase_every)
            )
        return phases

    def encode(self, nets, batch):
        # Two forward passes before the one backward: silently wrong under DDP.
        img = batch.image.flatten(1)
        first, second = nets["encoder"](img), nets["encoder"](img.flip(1))
        kept = batch.slot_state.get("code", torch.zeros(4))
        batch.slot_state["code"] = 0.5 * kept + 0.5 * first.detach().float().mean(0)
        return {"distance": (first - second).square().mean() + (first - kept).square().mean()}

    def generator_terms(self, objective, nets, batch):
        terms = super().generator_terms(objective, nets, batch)
        if batch.nimg == self.config.poison_at:
            terms["poison"] = terms["adversarial"] * float("nan")
        return terms


@hookimpl
def ganforge_architectures():
    return [Toy]


def install():
    """Make the toy known to the registry of this process, once."""
    registry = get_registry()
    if "toy" not in registry.plugins:
        registry.register(sys.modules[__name__], Plugin("toy", __name__, "toy-gan", "1"))


def toy_config(train=(), model=(), **sections):
    install()
    values = {
        "name": "toy",
        "model": {"architecture": "toy", **dict(model)},
        "train": {
            "batch_size": 16,
            "total_kimg": 1,
            "precision": "fp32",
            "compile": False,
            "trackers": [],
            **dict(train),
        },
        **sections,
    }
    return PipelineConfig.model_validate(values)


def toy_run(config, num_slots=None):
    return build_run(resolve(config), SPEC, Runtime(config.train.precision), num_slots)


def toy_fields(run):
    """Data that depends on step and slot only."""
    micro = run.config.train.batch_size // run.num_slots
    fields = []
    for slot in run.local_slots:
        generator = torch.Generator().manual_seed(1000 * run.progress.step + slot)
        img = torch.randint(0, 256, (micro, 1, 4, 4), generator=generator, dtype=torch.uint8)
        fields.append({"image": img})
    return fields


def advance(run, steps):
    """Train for some steps; returns the last step's result."""
    stepper, result = Stepper(run), None
    for _ in range(steps):
        result = stepper.step(make_batches(run, toy_fields(run)), run.progress)
        run.progress.advance(run.config.train.batch_size)
        run.ema.update(run.progress.nimg, run.config.train.batch_size)
        if run.objective.augmentation is not None:
            run.objective.augmentation.step_end(run.config.train.batch_size)
    return result


class ToyLoader:
    """Yields `toy_fields` from where the run is."""

    def __init__(self, run):
        self.run = run

    def __iter__(self):
        while True:
            yield toy_fields(self.run)

    def close(self):
        pass


def train_toy(run, tasks=(), meter=None):
    """Train to the end of the run by the loop of the engine."""
    train(run, ToyLoader, meter or Meter(run.runtime), tasks)
    return run


@contextlib.contextmanager
def listening(**hooks):
    """Register a plugin with these hooks while the context lasts."""
    module = types.ModuleType("listener")
    for name, function in hooks.items():
        setattr(module, name, hookimpl(function))
    manager = get_registry().manager
    manager.register(module, "listener")
    try:
        yield
    finally:
        manager.unregister(module)


def weights(run):
    """All state tensors, by file and key."""
    return {
        f"{file}/{key}": tensor.clone()
        for file, tensors in run.snapshot().tensors.items()
        for key, tensor in tensors.items()
    }
