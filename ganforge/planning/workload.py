"""What one training step of a pipeline computes, counted on the meta device."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ganforge.config.models import PipelineConfig
from ganforge.errors import ConfigError
from ganforge.interfaces.architecture import Architecture, Phase
from ganforge.interfaces.batch import Batch, Networks
from ganforge.interfaces.components import Components
from ganforge.interfaces.objective import Objective
from ganforge.interfaces.spec import ImageSpec
from ganforge.planning.roofline import fuse
from ganforge.planning.trace import Kernel, recording
from ganforge.training.engine.freeze import Frozen
from ganforge.training.engine.make_batch import field_spec, prepare_field
from ganforge.training.engine.optimizers import optimizer_config, trainable_parameters

FLOAT_BYTES = 4
_OPTIMIZER_STATES = {"adam": 2, "adamw": 2, "rmsprop": 1, "sgd": 0}
"""Numbers that an optimizer keeps for each parameter, without momentum."""


@dataclass(frozen=True)
class PhaseWork:
    """What one run of a phase computes for one slot.

    Attributes:
        name: of the phase.
        every: it runs every N steps.
        kernels: as they are launched, fused where the networks are compiled.
        trained: parameters that it updates.
        peak_bytes: most memory of gradients and activations at a time, not compiled.
    """

    name: str
    every: int
    kernels: Sequence[Kernel]
    trained: int
    peak_bytes: int


@dataclass(frozen=True)
class Workload:
    """One slot's share of a step.

    Attributes:
        micro_batch: images of a slot.
        phases: those that run.
        parameters: of each network.
        buffer_numbers: floating-point numbers in the buffers of all networks.
        averaged: parameters of the averaged networks.
        optimizer_states: numbers that the optimizers keep.
    """

    micro_batch: int
    phases: Sequence[PhaseWork]
    parameters: Mapping[str, int]
    buffer_numbers: int
    averaged: int
    optimizer_states: int


class _Watched(Networks):
    """Networks that notice when a phase takes the uncompiled form, as penalties do."""

    is_eager = False

    def eager(self, role: str) -> nn.Module:
        self.is_eager = True
        return super().eager(role)


def count_work(
    components: Components,
    spec: ImageSpec,
    fields: Sequence[str],
    micro_batch: int,
    half: torch.dtype | None,
    smallest_half: int | None = None,
    *,
    is_eager_fused: bool = False,
) -> Workload:
    """Count what a slot of `micro_batch` images computes, without computing anything.

    Args:
        components: of the pipeline file.
        spec: of the images.
        fields: of the batch.
        micro_batch: images of a slot.
        half: the 16-bit type of forward passes; None for float32.
        smallest_half: as in `recording`.
        is_eager_fused: whether code that is not compiled, of penalties, has fused kernels too.

    Raises:
        ConfigError: the architecture reads values on the host, of which there are none.
    """
    config, objective = components.config, components.objective
    architecture = components.bound_architecture(spec)
    networks = architecture.meta_networks()
    for module in (*objective.regularizers, *objective.terms, objective.augmentation):
        if module is not None:
            module.to("meta")
    for network in networks.values():
        network.train().requires_grad_(False)
    frozen = Frozen(networks, config.init.freeze)
    counter = _Counter(config, networks, frozen, (half, smallest_half), is_eager_fused)
    batch = meta_batch(spec, fields, micro_batch, round(config.train.total_kimg * 500))
    try:
        with torch.device("meta"):
            active = active_phases(architecture, objective, networks, frozen, batch)
            works = counter.count(active)
    except (RuntimeError, NotImplementedError) as err:
        raise ConfigError(
            f"A step of '{architecture.name}' cannot be counted without values: {err}. Measure "
            f"it: ganforge plan PIPELINE --gpus N --measure."
        ) from err
    phases = architecture.phases(objective)
    return Workload(
        micro_batch=micro_batch,
        phases=works,
        parameters={role: _numel(network.parameters()) for role, network in networks.items()},
        buffer_numbers=sum(_numel(network.buffers()) for network in networks.values()),
        averaged=sum(_numel(networks[role].parameters()) for role in architecture.ema_roles),
        optimizer_states=_optimizer_states(architecture, phases, networks, config, frozen),
    )


def active_phases(
    architecture: Architecture[Any],
    objective: Objective,
    networks: Mapping[str, nn.Module],
    frozen: Frozen,
    batch: Batch,
) -> Iterator[tuple[Batch, Phase]]:
    """The phases of a step with what each works on, in the order of the engine."""
    phases = frozen.without_idle(architecture.phases(objective), networks)
    for index, part in enumerate(architecture.chunks(batch)):
        for phase in phases:
            if phase.due is None or phase.due(batch.nimg, index):
                yield part, phase


class _Counter:
    """Runs the phases as the engine does, and records their kernels."""

    def __init__(
        self,
        config: PipelineConfig,
        networks: Mapping[str, nn.Module],
        frozen: Frozen,
        precision: tuple[torch.dtype | None, int | None],
        is_eager_fused: bool,
    ) -> None:
        self._networks, self._frozen = networks, frozen
        self._precision = precision
        self._is_compiled = config.train.compile is not False
        self._is_eager_fused = is_eager_fused

    def count(self, active: Iterator[tuple[Batch, Phase]]) -> list[PhaseWork]:
        found: dict[str, list[PhaseWork]] = {}
        for part, phase in active:
            found.setdefault(phase.name, []).append(self._run(phase, part))
        return [_joined(parts) for parts in found.values()]

    def _run(self, phase: Phase, batch: Batch) -> PhaseWork:
        parameters = [*trainable_parameters(self._networks, phase.trains, self._frozen).values()]
        for parameter in parameters:
            parameter.requires_grad_(True)
        networks = _Watched(self._networks)
        batch.reports.clear()
        with recording(*self._precision) as trace:
            terms = phase.loss(networks, batch)
            torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
        for parameter in parameters:
            parameter.requires_grad_(False).grad = None
        is_fused = self._is_compiled and (self._is_eager_fused or not networks.is_eager)
        kernels = fuse(trace.kernels) if is_fused else trace.kernels
        return PhaseWork(phase.name, phase.every, kernels, _numel(parameters), trace.peak_bytes)


def _joined(parts: Sequence[PhaseWork]) -> PhaseWork:
    """A phase that runs in several chunks of a step, as one."""
    first = parts[0]
    return PhaseWork(
        first.name,
        first.every,
        [kernel for part in parts for kernel in part.kernels],
        first.trained * len(parts),
        max(part.peak_bytes for part in parts),
    )


def meta_batch(spec: ImageSpec, fields: Sequence[str], size: int, nimg: int) -> Batch:
    """A batch without values."""
    meta = torch.device("meta")
    found: dict[str, Tensor] = {}
    vectors = {
        "label": spec.num_classes,
        "attributes": len(spec.attribute_names),
        "text": spec.text_dim,
    }
    for name in fields:
        if name in vectors:
            found[name] = torch.empty(size, vectors[name], device=meta)
            continue
        field = field_spec(name, spec)
        is_clip = field.is_clip or (name not in spec.fields and spec.num_frames > 1)
        shape: tuple[int, ...] = (field.size,)
        if field.kind != "vector":
            channels = field.size if field.kind == "image" else 1
            shape = (channels, spec.height, spec.width)
        dtype = torch.float32 if field.kind == "vector" else torch.uint8
        frames = (spec.num_frames,) if is_clip else ()
        raw = torch.empty(size, *frames, *shape, dtype=dtype, device=meta)
        found[name] = prepare_field(name, raw, spec, meta)
    return Batch(found, nimg=nimg)


def _optimizer_states(
    architecture: Architecture[Any],
    phases: Sequence[Phase],
    networks: Mapping[str, nn.Module],
    config: PipelineConfig,
    frozen: Frozen,
) -> int:
    total = 0
    for group in {phase.trains for phase in phases}:
        chosen = optimizer_config(architecture, group, config.train)
        copies = _OPTIMIZER_STATES[chosen.name]
        copies += chosen.name in ("rmsprop", "sgd") and chosen.momentum > 0
        total += copies * _numel(trainable_parameters(networks, group, frozen).values())
    return total


def _numel(tensors: Any) -> int:
    return sum(tensor.numel() for tensor in tensors if tensor.is_floating_point())
