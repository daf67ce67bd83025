"""Tiny runs on which the contract checks try an architecture: configuration, spec and batches."""

import itertools
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ganforge.config.models import LossConfig, ModelConfig, PipelineConfig, TrainConfig
from ganforge.errors import ConfigError, PluginContractError
from ganforge.interfaces.architecture import Architecture, Reads
from ganforge.interfaces.conditions import CONDITIONS
from ganforge.interfaces.generation import GenerateRequest
from ganforge.interfaces.spec import FieldSpec, ImageSpec
from ganforge.registry.components import resolve
from ganforge.registry.plugins import get_registry
from ganforge.training.build import build_run
from ganforge.training.engine.loop import train
from ganforge.training.engine.meter import Meter
from ganforge.training.runtime import Runtime
from ganforge.training.state.run_state import TrainingRun

_SIDES = (16, 32, 64, 128, 256)
_OBJECTIVES: tuple[Mapping[str, Any], ...] = (
    {"name": "nonsaturating"},
    {"name": "hinge"},
    {"name": "wasserstein", "regularizers": ["gradient_penalty"]},
    {"name": "least_squares"},
)
_NAMED = ("image", "source", "target", "frames", *CONDITIONS)
_CLASS_NAMES = ("cat", "dog", "bird")
_NUM_FRAMES = 3
MICRO_BATCH = 4


@dataclass(frozen=True)
class Case:
    """An architecture, so small that its checks take seconds.

    Attributes:
        config: a pipeline file with the architecture's `example_options`.
        spec: the smallest images that the architecture accepts.
        conditions: the optional batch fields that are fed.
    """

    config: PipelineConfig
    spec: ImageSpec
    conditions: tuple[str, ...] = ()

    @property
    def architecture(self) -> type[Architecture[Any]]:
        """What is checked."""
        return get_registry().find(Architecture, self.config.model.architecture)

    @property
    def label(self) -> str:
        """Name and conditions, for reports."""
        return "+".join((self.config.model.architecture, *self.conditions))

    def with_slots(self, num_slots: int) -> "Case":
        """The same with this many slots of `MICRO_BATCH` images each."""
        train = self.config.train.model_copy(
            update={"slots": num_slots, "batch_size": num_slots * MICRO_BATCH}
        )
        return replace(self, config=self.config.model_copy(update={"train": train}))

    def broken(self, message: str) -> PluginContractError:
        """What to raise where the contract is not kept: the fault, then the cure."""
        return PluginContractError(f"Architecture '{self.label}': {message}")


def cases_of(name: str) -> list[Case]:
    """The cases of an architecture: without its optional conditions, and with them.

    Raises:
        PluginNotFound: no plugin provides it.
        PluginContractError: it refuses every size and objective that is tried.
    """
    architecture = get_registry().find(Architecture, name)
    reads = _reads(architecture)
    required = tuple(f for f in CONDITIONS if f in reads.required)
    optional = tuple(f for f in CONDITIONS if f in reads.optional)
    kinds = dict.fromkeys((required, required + optional))
    return [_smallest(architecture, conditions) for conditions in kinds]


def _reads(architecture: type[Architecture[Any]]) -> Reads:
    return architecture.reads(architecture.Config(**architecture.example_options))


def _smallest(architecture: type[Architecture[Any]], conditions: tuple[str, ...]) -> Case:
    reason = ""
    for objective, side in itertools.product(_OBJECTIVES, _SIDES):
        spec = _spec(architecture, side, conditions)
        case = Case(_config(architecture, objective), spec, conditions)
        try:
            components = resolve(case.config)
            components.bound_architecture(spec).check(components.objective)
            return case
        except ConfigError as err:
            reason = str(err)
    raise PluginContractError(
        f"Architecture '{architecture.name}' accepts no square image of {_SIDES} pixels with any "
        f"of the losses {[o['name'] for o in _OBJECTIVES]}; the last refusal was: {reason} "
        f"Give it `example_options` with which a small model can be built."
    )


def _config(architecture: type[Architecture[Any]], objective: Mapping[str, Any]) -> PipelineConfig:
    return PipelineConfig(
        name="contract",
        model=ModelConfig(architecture=architecture.name, **architecture.example_options),
        loss=LossConfig(**objective),
        train=TrainConfig(
            batch_size=MICRO_BATCH, slots=1, precision="fp32", compile=False, total_kimg=1.0
        ),
    )


def _spec(architecture: type[Architecture[Any]], side: int, conditions: Sequence[str]) -> ImageSpec:
    fields = _reads(architecture)
    return ImageSpec(
        side,
        side,
        source_channels=3 if "source" in fields else None,
        class_names=_CLASS_NAMES if "label" in conditions else (),
        attribute_names=("round", "red") if "attributes" in conditions else (),
        text_dim=5 if "text" in conditions else 0,
        num_frames=_NUM_FRAMES if "frames" in fields else 1,
        fields={name: FieldSpec("image", 3) for name in fields.required if name not in _NAMED},
    )


def made_up_loader(
    case: Case, start_step: int, slots: range
) -> Generator[list[dict[str, Tensor]], None, None]:
    """An endless stream of made-up data: a pure function of step and slot."""
    for step in itertools.count(start_step):
        yield [make_fields(case, step, slot) for slot in slots]


def make_fields(case: Case, step: int, slot: int) -> dict[str, Tensor]:
    """One slot's fields at one step, as a loader yields them."""
    generator = torch.Generator().manual_seed(1000 * step + slot)
    names = dict.fromkeys((*_reads(case.architecture).required, *case.conditions))
    return {name: _field(name, case.spec, generator) for name in names}


def _field(name: str, spec: ImageSpec, generator: torch.Generator) -> Tensor:
    if name == "label":
        return torch.arange(MICRO_BATCH) % spec.num_classes
    if name == "attributes":
        return torch.rand(MICRO_BATCH, len(spec.attribute_names), generator=generator).round()
    if name == "text":
        return torch.randn(MICRO_BATCH, spec.text_dim, generator=generator)
    channels = spec.source_channels if name == "source" and spec.source_channels else spec.channels
    size = (MICRO_BATCH, *image_shape(spec, channels))
    return torch.randint(256, size, generator=generator, dtype=torch.uint8)


def image_shape(spec: ImageSpec, channels: int) -> tuple[int, ...]:
    """[C, H, W] of an image, or [T, C, H, W] of a frame sequence."""
    frames = (spec.num_frames,) if spec.num_frames > 1 else ()
    return *frames, channels, spec.height, spec.width


def requests(case: Case, seeds: Sequence[int]) -> Iterator[tuple[GenerateRequest, int]]:
    """What to ask of `generate`, and the channels of the answer: one request per direction."""
    spec, directions = case.spec, case.architecture.directions
    request = GenerateRequest(seeds)
    if "label" in case.conditions:
        index = torch.tensor([seed % spec.num_classes for seed in seeds])
        request.label = nn.functional.one_hot(index, spec.num_classes).float()
    if "attributes" in case.conditions:
        request.attributes = torch.tensor([[seed % 2, 1.0] for seed in seeds])
    if "text" in case.conditions:
        request.text = torch.stack([_row(seed, (spec.text_dim,)) for seed in seeds])
    if not directions:
        yield request, spec.channels
    ends = [(spec.source_channels or spec.channels, spec.channels)]
    ends.append(ends[0][::-1])
    for direction, (before, after) in zip(directions, ends, strict=False):
        source = torch.stack([_row(seed, image_shape(spec, before)).tanh() for seed in seeds])
        yield replace(request, source=source, options={"direction": direction}), after


def _row(seed: int, shape: tuple[int, ...]) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def start(case: Case, num_steps: int = 1) -> TrainingRun:
    """A fresh run of a case that ends after `num_steps` steps."""
    total_kimg = num_steps * case.config.train.batch_size / 1000
    settings = case.config.train.model_copy(update={"total_kimg": total_kimg})
    config = case.config.model_copy(update={"train": settings})
    return build_run(resolve(config), case.spec, Runtime(precision="fp32"))


def train_case(case: Case, run: TrainingRun) -> TrainingRun:
    """Train to the run's end on made-up data."""
    loader = made_up_loader(case, run.progress.step, run.local_slots)
    train(run, lambda _: loader, Meter(run.runtime), ())
    return run
