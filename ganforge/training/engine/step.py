"""One training step: for each due phase, freeze the rest, go through the slots, reduce, update.

Gradients and buffers of all slots on all ranks are summed per phase, however they were computed.
This is exact for every GAN step, where DistributedDataParallel is silently wrong for several
(docs/engine.md lists them).
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ganforge.errors import PluginContractError
from ganforge.interfaces.architecture import Phase
from ganforge.interfaces.batch import Batch
from ganforge.interfaces.objective import Terms
from ganforge.training.engine.finite import FiniteCheck, PhaseLosses
from ganforge.training.engine.gradient_sum import GradientSum, reduce_flat
from ganforge.training.engine.optimizers import set_progress
from ganforge.training.engine.progress import Progress, lr_factor, seed_slot
from ganforge.training.engine.slot_buffers import SlotBuffers
from ganforge.training.state.run_state import TrainingRun


@dataclass
class StepResult:
    """Values of a step for the log: sums over this rank's slots, and the number of summands."""

    sums: dict[str, Tensor] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, value: Tensor, count: int = 1) -> None:
        """Add the sum of `count` values; nothing leaves the device."""
        value = value.detach().float()
        self.sums[name] = self.sums[name] + value if name in self.sums else value
        self.counts[name] = self.counts.get(name, 0) + count


class Stepper:
    """Runs the phases of a run's architecture, slot by slot."""

    def __init__(self, run: TrainingRun) -> None:
        self.run = run
        runtime, networks = run.runtime, run.nets.modules()
        self.finite = FiniteCheck(runtime.device.type == "cuda", runtime.rank, run.local_slots)
        shared = [*networks.values(), *run.stateful_modules().values()] * (run.num_slots > 1)
        self._buffers = SlotBuffers(shared, len(run.local_slots), run.frozen.buffers)
        self._to_sum: list[Tensor] = []
        self._parameters = {group: run.trainable_parameters(group) for group in run.optimizers}
        # Backward passes of synchronized batch normalization contain collectives.
        overlaps = not run.config.train.sync_batchnorm
        self._sums = {
            group: GradientSum(runtime, parameters, overlaps=overlaps)
            for group, parameters in self._parameters.items()
        }
        for network in networks.values():
            network.train().requires_grad_(False)
        run.frozen.begin()

    def step(
        self, batches: Sequence[Batch], progress: Progress, votes: Tensor | None = None
    ) -> StepResult:
        """Run all due phases on one global batch, given as one batch per local slot.

        `votes` are summed over ranks in place, with the gradients of the first phase.

        Raises:
            NonFiniteError: a loss or gradient is not finite, on every rank alike; on a GPU it may
                be one of the step before.
        """
        result, known = StepResult(), len(self.finite)
        config = self.run.config.train
        factor = lr_factor(config.schedule, progress.nimg, config.total_kimg)
        for optimizer in self.run.optimizers.values():
            set_progress(optimizer, factor, progress.nimg)
        self._to_sum = [] if votes is None else [votes]
        chunked = zip(*(self.run.architecture.chunks(batch) for batch in batches), strict=True)
        for index, parts in enumerate(chunked):
            for phase in self.run.phases:
                if phase.is_due(progress.step, progress.nimg, index):
                    self._run_phase(phase, parts, progress, index, result)
        reduce_flat(self.run.runtime, self._take_votes())  # if no phase was due
        self.finite.settle(keep=len(self.finite) - known)
        return result

    def _take_votes(self) -> list[Tensor]:
        votes, self._to_sum = self._to_sum, []
        return votes

    def _run_phase(
        self,
        phase: Phase,
        batches: Sequence[Batch],
        progress: Progress,
        chunk: int,
        result: StepResult,
    ) -> None:
        parameters = [*self._parameters[phase.trains].values()]
        for parameter in parameters:
            parameter.requires_grad_(True)
            parameter.grad = None
        self._buffers.begin_phase()
        gradient_sum = self._sums[phase.trains]
        slot_terms: list[Terms] = []
        for index, (slot, batch) in enumerate(zip(self.run.local_slots, batches, strict=True)):
            self._buffers.begin_slot(index)
            seed_slot(self.run.seed, progress.step, f"{phase.name}/{chunk}", slot)
            is_last = index == len(batches) - 1
            backward = gradient_sum.watching() if is_last else contextlib.nullcontext()
            slot_terms.append(self._backward(phase, batch, result, backward))
        gradients = gradient_sum.finish()
        # Losses are reduced as well, so that every rank sees a fault on any rank.
        loss = torch.stack([term for terms in slot_terms for term in terms.values()]).sum()[None]
        changes = self._buffers.changes()
        reduce_flat(self.run.runtime, [*changes, loss, *self._take_votes()])
        self._buffers.end_phase(changes, self.run.num_slots)
        scaler = self.run.scalers.get(phase.trains)
        if scaler is not None:
            scaler.unscale_(self.run.optimizers[phase.trains])
        norm = torch.nn.utils.get_total_norm(gradients)
        result.add(f"grad_norm/{phase.name}", norm)
        # Overflowing gradients are part of fp16: its scaler skips that update and scales down.
        checked = norm if scaler is None else None
        self.finite.look(
            PhaseLosses(phase.name, progress.step, progress.nimg, loss, checked, slot_terms),
            lambda: self._bad_gradients(phase, gradients),
        )
        limit = self.run.config.train.grad_clip_norm
        if limit is not None:
            torch._foreach_mul_(gradients, (limit / norm).clamp(max=1.0))
        self._update(phase, parameters)

    def _backward(
        self,
        phase: Phase,
        batch: Batch,
        result: StepResult,
        context: contextlib.AbstractContextManager[None],
    ) -> Terms:
        batch.reports.clear()
        with self.run.runtime.training_forward():
            terms = phase.loss(self.run.nets, batch)
        _check_terms(phase, terms)
        total = torch.stack(list(terms.values())).sum() / self.run.num_slots
        scaler = self.run.scalers.get(phase.trains)
        total = total if scaler is None else scaler.scale(total)
        # A penalty on frozen layers alone has no gradient.
        with context:
            if total.requires_grad or not self.run.frozen:
                total.backward()  # type: ignore[no-untyped-call]
        self.run.frozen.restore_buffers()
        terms = {name: term.detach().float() for name, term in terms.items()}
        for name, term in terms.items():
            result.add(f"loss/{phase.name}/{name}", term)
        for name, values in batch.reports.items():
            for value in values:
                result.add(name, value)
        return terms

    def _bad_gradients(self, phase: Phase, gradients: Sequence[Tensor]) -> list[str]:
        return [
            f"the gradient of {name}"
            for name, gradient in zip(self._parameters[phase.trains], gradients, strict=True)
            if not torch.isfinite(gradient).all()
        ][:2]

    def _update(self, phase: Phase, parameters: Sequence[nn.Parameter]) -> None:
        scaler = self.run.scalers.get(phase.trains)
        if scaler is None:
            self.run.optimizers[phase.trains].step()
        else:
            scaler.step(self.run.optimizers[phase.trains])
            scaler.update()
        for parameter in parameters:
            parameter.grad = None
            parameter.requires_grad_(False)
        if phase.after_step is not None:
            with torch.no_grad():
                phase.after_step(self.run.nets)
            self.run.frozen.restore_parameters()


def _check_terms(phase: Phase, terms: Any) -> None:
    if not isinstance(terms, dict) or not terms:
        found = "an empty dict" if isinstance(terms, dict) else type(terms).__name__
    else:
        shapes = {n: list(t.shape) if isinstance(t, Tensor) else t for n, t in terms.items()}
        if all(shape == [] for shape in shapes.values()):
            return
        found = f"terms of shapes {shapes}"
    raise PluginContractError(
        f"The loss of phase '{phase.name}' returned {found}. Return named terms, each a tensor "
        f"with one number: {{'adversarial': loss}}."
    )
