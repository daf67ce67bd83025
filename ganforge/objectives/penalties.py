"""Phases with the penalties that the pipeline file puts on the networks they train."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ganforge.interfaces.architecture import Phase
from ganforge.interfaces.batch import Batch, Networks, full_precision
from ganforge.interfaces.objective import PenaltyInput, Regularizer, Terms
from ganforge.objectives.second_derivatives import cheap_second_derivatives

PenaltyInputs = Callable[[Networks, Batch], Mapping[str, PenaltyInput]]


def with_penalties(
    phase: Phase, regularizers: Sequence[Regularizer[Any]], inputs: PenaltyInputs
) -> list[Phase]:
    """A phase with the penalties of every step in its loss, then a phase for each lazy penalty.

    Projections of weights (clipping) run after each update of the phase.

    Args:
        phase: an update without penalties.
        regularizers: those of its networks, from `objective.for_target`.
        inputs: (networks, batch) -> what the penalties are computed from. One entry for each thing
            to be penalized; its key ends the term's name, "" for the only one.
    """
    each_step = [regularizer for regularizer in regularizers if regularizer.every == 1]

    def loss(nets: Networks, batch: Batch) -> Terms:
        terms = phase.loss(nets, batch)
        return terms | _penalties(each_step, inputs(nets, batch)) if each_step else terms

    def lazy_phase(regularizer: Regularizer[Any]) -> Phase:
        return replace(
            phase,
            name=f"{phase.name}_{regularizer.name}",
            loss=lambda nets, batch: _penalties([regularizer], inputs(nets, batch)),
            every=regularizer.every * phase.every,
            lazy=True,
            after_step=None,
        )

    def project(nets: Networks) -> None:
        if phase.after_step is not None:
            phase.after_step(nets)
        for regularizer in regularizers:
            for role in phase.trains:
                regularizer.project(nets.eager(role))

    lazy = [lazy_phase(regularizer) for regularizer in regularizers if regularizer.every > 1]
    return [replace(phase, loss=loss, after_step=project), *lazy]


def _penalties(
    regularizers: Sequence[Regularizer[Any]], inputs: Mapping[str, PenaltyInput]
) -> Terms:
    terms = {}
    for suffix, penalized in inputs.items():
        for regularizer in regularizers:
            with _precision(regularizer, penalized.real_img), cheap_second_derivatives():
                penalty = regularizer.penalty(penalized)
            if penalty is not None:
                terms[f"{regularizer.name}{suffix}"] = penalty * regularizer.every
    return terms


def _precision(
    regularizer: Regularizer[Any], img: Tensor
) -> contextlib.AbstractContextManager[object]:
    """Autocast off, unless it casts to bf16 and the regularizer takes that.

    Gradients in fp16 would underflow: the scale of the loss does not reach those at the images.
    """
    device = "cpu" if img.is_meta else img.device.type
    is_bf16 = torch.get_autocast_dtype(device) == torch.bfloat16
    if regularizer.precision == "mixed" and is_bf16:
        return contextlib.nullcontext()
    return full_precision(img)
