"""Tiny runs on which the contract checks try an architecture: configuration, spec and batches."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ganforge.config.models import LossConfig, ModelConfig, PipelineConfig, TrainConfig
from ganforge.errors import ConfigError, PluginContractError
from ganforge.interfaces.architecture import Architecture, Reads
from ganforge.interfaces.conditions import CONDITIONS
from ganforge.interfaces.generation import GenerateRequest
from ganforge.interfaces.spec import ImageSpec
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
_CLASS_NAMES = ("cat", "dog", "bird")
_NUM_FRAMES = 3
MICRO_BATCH = 4


@dataclass(frozen=True)
class Case:
    """An architecture in a size at which it can be checked in seconds.

    Attributes:
        config: a pipeline file with the architecture's `example_options`.
        spec: the smallest images that the architecture accepts.
        conditions: the optional batch fields that are fed.
    """

    config: PipelineConfig
    spec: ImageSpec
    conditions: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The architecture's name."""
        return self.config.model.architecture

    @property
    def label(self) -> str:
        """Name and conditions, for reports."""
        return "+".join((self.name, *self.conditions))

    def with_slots(self, num_slots: int) -> "Case":
        """The same with this many slots of `MICRO_BATCH` images each."""
        train = self.config.train.model_copy(
            update={"slots": num_slots, "batch_size": num_slots * MICRO_BATCH}
        )
        return replace(self, config=self.config.model_copy(update={"train": train}))


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
    kinds = [required] if not optional else [required, required + optional]
    return [_smallest(architecture, conditions) for conditions in kinds]


def _reads(architecture: type[Architecture[Any]]) -> Reads:
    return architecture.reads(architecture.Config(**architecture.example_options))


def _smallest(architecture: type[Architecture[Any]], conditions: tuple[str, ...]) -> Case:
    reason = ""
    for objective, side in itertools.product(_OBJECTIVES, _SIDES):
        case = Case(
            _config(architecture, objective), _spec(architecture, side, conditions), conditions
        )
        try:
            components = resolve(case.config)
            components.bound_architecture(case.spec).check(components.objective)
        except ConfigError as err:
            reason = str(err)
        else:
            return case
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
    )


class MadeUpLoader:
    """An endless stream of made-up data: a pure function of step and slot.

    Args:
        case: gives fields and sizes.
        start_step: where the stream continues.
        slots: this rank's slots.
    """

    def __init__(self, case: Case, start_step: int, slots: range) -> None:
        self._case, self._start_step, self._slots = case, start_step, slots

    def __iter__(self) -> Iterator[list[dict[str, Tensor]]]:
        for step in itertools.count(self._start_step):
            yield [make_fields(self._case, step, slot) for slot in self._slots]

    def close(self) -> None:
        """Nothing to stop."""


def make_fields(case: Case, step: int, slot: int) -> dict[str, Tensor]:
    """One slot's fields at one step, as a loader yields them."""
    generator = torch.Generator().manual_seed(1000 * step + slot)
    architecture = get_registry().find(Architecture, case.name)
    names = dict.fromkeys((*_reads(architecture).required, *case.conditions))
    return {name: _field(name, case.spec, generator) for name in names}


def _field(name: str, spec: ImageSpec, generator: torch.Generator) -> Tensor:
    if name == "label":
        return torch.arange(MICRO_BATCH) % spec.num_classes
    if name == "attributes":
        return torch.rand(MICRO_BATCH, len(spec.attribute_names), generator=generator).round()
    if name == "text":
        return torch.randn(MICRO_BATCH, spec.text_dim, generator=generator)
    channels = spec.source_channels if name == "source" and spec.source_channels else spec.channels
    frames = (spec.num_frames,) if spec.num_frames > 1 else ()
    size = (MICRO_BATCH, *frames, channels, spec.height, spec.width)
    return torch.randint(256, size, generator=generator, dtype=torch.uint8)


def requests(case: Case, seeds: Sequence[int]) -> Iterator[tuple[GenerateRequest, int]]:
    """What to ask of `generate`, and the channels of the answer: one request per direction."""
    spec, architecture = case.spec, get_registry().find(Architecture, case.name)
    request = GenerateRequest(seeds)
    if "label" in case.conditions:
        index = torch.tensor([seed % spec.num_classes for seed in seeds])
        request.label = nn.functional.one_hot(index, spec.num_classes).float()
    if "attributes" in case.conditions:
        request.attributes = torch.tensor([[seed % 2, 1.0] for seed in seeds])
    if "text" in case.conditions:
        request.text = torch.stack([_row(seed, (spec.text_dim,)) for seed in seeds])
    if not architecture.directions:
        yield request, spec.channels
    ends = [(spec.source_channels or spec.channels, spec.channels)]
    ends.append(ends[0][::-1])
    for direction, (before, after) in zip(architecture.directions, ends, strict=False):
        frames = (spec.num_frames,) if spec.num_frames > 1 else ()
        shape = (*frames, before, spec.height, spec.width)
        source = torch.stack([_row(seed, shape).tanh() for seed in seeds])
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
    train(run, lambda r: MadeUpLoader(case, r.progress.step, r.local_slots), Meter(run.runtime), ())
    return run


def broken(case: Case, fault: str, cure: str) -> PluginContractError:
    """What to raise where the contract is not kept."""
    return PluginContractError(f"Architecture '{case.label}': {fault} {cure}")
