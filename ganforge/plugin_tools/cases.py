"""Tiny runs on which the contract checks try an architecture: configuration, spec and batches."""

import difflib
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

_FIELDS = ("image", "source", "target", "frames", *CONDITIONS)
_SOURCE_CHANNELS = 3
# An architecture is also tried with the first of these that it accepts.
_OTHER_SOURCES: tuple[Mapping[str, Any], ...] = (
    {"source_kind": "labels", "source_channels": 5},
    {"source_channels": 1},
)
_NUM_INSTANCES = 7
_SIDES = (16, 32, 64, 128, 256)
_OBJECTIVES: tuple[Mapping[str, Any], ...] = (
    {"name": "nonsaturating"},
    {"name": "hinge"},
    {"name": "wasserstein", "regularizers": ["gradient_penalty"]},
    {"name": "least_squares"},
)
_CLASS_NAMES = ("cat", "dog", "bird")
_NUM_FRAMES = 5
"""Two chunks of two frames and a shorter one; motion over three frames reaches across chunks."""
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
        """Name, conditions and unusual sources, for reports."""
        kind, channels = self.spec.source_kind, self.spec.source_channels
        is_usual = channels is None or (kind, channels) == ("image", _SOURCE_CHANNELS)
        source = () if is_usual else (f"source_{kind}_{channels}",)
        return "+".join((self.config.model.architecture, *self.conditions, *source))

    def with_slots(self, num_slots: int) -> "Case":
        """The same with this many slots of `MICRO_BATCH` images each."""
        train = self.config.train.model_copy(
            update={"slots": num_slots, "batch_size": num_slots * MICRO_BATCH}
        )
        return replace(self, config=self.config.model_copy(update={"train": train}))

    def refusal(self) -> str:
        """Why the architecture does not take these data; empty if it does."""
        try:
            components = resolve(self.config)
            components.bound_architecture(self.spec).check(components.objective)
        except ConfigError as err:
            return str(err)
        return ""

    def broken(self, message: str) -> PluginContractError:
        """What to raise where the contract is not kept: the fault, then the cure."""
        return PluginContractError(f"Architecture '{self.label}': {message}")


def cases_of(name: str) -> list[Case]:
    """The cases of an architecture: without its optional fields, with them, with other sources.

    Raises:
        PluginNotFound: no plugin provides it.
        PluginContractError: it refuses every size and objective that is tried, or reads a field
            that it does not describe.
    """
    architecture = get_registry().find(Architecture, name)
    reads = _reads(architecture)
    _check_fields_are_known(architecture, reads)
    names = (*CONDITIONS, *architecture.example_fields)
    required = tuple(name for name in names if name in reads.required)
    optional = tuple(name for name in names if name in reads.optional)
    kinds = dict.fromkeys((required, required + optional))
    cases = [_smallest(architecture, conditions) for conditions in kinds]
    return [*cases, *_with_other_source(cases[-1])]


def _with_other_source(case: Case) -> Iterator[Case]:
    """The case with a label map as its source, else with a gray one, if it accepts either."""
    if case.spec.source_channels is None:
        return
    for source in _OTHER_SOURCES:
        other = replace(case, spec=replace(case.spec, **source))
        if not other.refusal():
            yield other
            return


def _check_fields_are_known(architecture: type[Architecture[Any]], reads: Reads) -> None:
    for name in (*reads.required, *reads.optional):
        if name in (*_FIELDS, *architecture.example_fields):
            continue
        near = difflib.get_close_matches(name, _FIELDS, 1, 0.8)
        hint = f"Did you mean '{near[0]}'? " if near else ""
        raise PluginContractError(
            f"Architecture '{architecture.name}': inputs names '{name}'. {hint}Describe a field "
            f"of your own in example_fields, e.g. {{'{name}': FieldSpec('vector', 4)}}."
        )


def _reads(architecture: type[Architecture[Any]]) -> Reads:
    return architecture.reads(architecture.Config(**architecture.example_options))


def _smallest(architecture: type[Architecture[Any]], conditions: tuple[str, ...]) -> Case:
    reason = ""
    for objective, side in itertools.product(_OBJECTIVES, _SIDES):
        spec = _spec(architecture, side, conditions)
        case = Case(_config(architecture, objective), spec, conditions)
        reason = case.refusal()
        if not reason:
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
        source_channels=_SOURCE_CHANNELS if "source" in fields else None,
        class_names=_CLASS_NAMES if "label" in conditions else (),
        attribute_names=("round", "red") if "attributes" in conditions else (),
        text_dim=5 if "text" in conditions else 0,
        num_frames=_NUM_FRAMES if "frames" in fields else 1,
        fields={
            name: field for name, field in architecture.example_fields.items() if name in conditions
        },
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
    field = _field_spec(name, spec)
    frames = (spec.num_frames,) if field.is_clip else ()
    if field.kind == "vector":
        return torch.randn(MICRO_BATCH, *frames, field.size, generator=generator)
    is_labels = field.kind == "labels"
    highest = (field.size or _NUM_INSTANCES) if is_labels else 256
    size = (MICRO_BATCH, *frames, 1 if is_labels else field.size, spec.height, spec.width)
    return torch.randint(highest, size, generator=generator, dtype=torch.uint8)


def _field_spec(name: str, spec: ImageSpec) -> FieldSpec:
    """What a field other than label, attributes and text holds."""
    if name in spec.fields:
        return spec.fields[name]
    is_clip = spec.num_frames > 1
    if name == "source" and spec.source_channels is not None:
        return spec.source
    return FieldSpec("image", spec.channels, is_clip)


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
    request.fields = {
        name: torch.stack([_field_row(seed, spec, field) for seed in seeds])
        for name, field in spec.fields.items()
    }
    if not directions:
        yield request, spec.channels
    ends = [(_field_spec("source", spec), _field_spec("target", spec))]
    ends.append(ends[0][::-1])
    for direction, (before, after) in zip(directions, ends, strict=False):
        source = torch.stack([_field_row(seed, spec, before) for seed in seeds])
        options = {"direction": direction}
        yield replace(request, source=source, options=options), after.size


def _field_row(seed: int, spec: ImageSpec, field: FieldSpec) -> Tensor:
    """What networks see of a field of one sample, as `Batch.fields` says."""
    if field.kind == "vector":
        return _row(seed, (spec.num_frames, field.size) if field.is_clip else (field.size,))
    if field.kind == "image":
        return _row(seed, image_shape(spec, field.size)).tanh()
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(field.size or _NUM_INSTANCES, image_shape(spec, 1), generator=generator)
    if field.size == 0:
        return ids
    return nn.functional.one_hot(ids.squeeze(-3), field.size).movedim(-1, -3).float()


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


@torch.no_grad()
def generate(run: TrainingRun, request: GenerateRequest) -> Tensor:
    """Generate with the averaged networks, as samples and metrics do."""
    return run.architecture.generate(run.ema.networks, request)
