"""Phases with the penalties that the pipeline file puts on the networks they train."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ganforge.interfaces.architecture import Phase
from ganforge.interfaces.batch import Batch, Networks, full_precision
from ganforge.interfaces.objective import PenaltyInput, Regularizer, Terms

PenaltyInputs = Callable[[Networks, Batch], Mapping[str, PenaltyInput]]


def with_penalties(
    phase: Phase, regularizers: Sequence[Regularizer[Any]], inputs: PenaltyInputs
) -> list[Phase]:
    """A phase whose loss has the penalties of every step, then a phase for each lazy one.

    What a regularizer does to weights (clipping) is done after each of the phase's updates.

    Args:
        phase: an update without penalties.
        regularizers: those of its networks, from `objective.for_target`.
        inputs: (networks, batch) -> what the penalties look at. One entry for each thing to be
            penalised; its key ends the term's name, "" for the only one.

    Returns:
        the phases, in the order in which they run.
    """
    each_step = [regularizer for regularizer in regularizers if regularizer.every == 1]
    phases = [
        replace(
            phase,
            loss=functools.partial(_loss, phase.loss, each_step, inputs),
            after_step=functools.partial(_project, phase, regularizers),
        )
    ]
    for lazy in (regularizer for regularizer in regularizers if regularizer.every > 1):
        phases.append(
            Phase(
                name=f"{phase.name}_{lazy.name}",
                trains=phase.trains,
                loss=functools.partial(_penalties, [lazy], inputs),
                every=lazy.every * phase.every,
                lazy=True,
            )
        )
    return phases


def _loss(
    loss: Callable[[Networks, Batch], Terms],
    regularizers: Sequence[Regularizer[Any]],
    inputs: PenaltyInputs,
    nets: Networks,
    batch: Batch,
) -> Terms:
    terms = loss(nets, batch)
    return terms | _penalties(regularizers, inputs, nets, batch) if regularizers else terms


def _penalties(
    regularizers: Sequence[Regularizer[Any]], inputs: PenaltyInputs, nets: Networks, batch: Batch
) -> Terms:
    terms = {}
    for suffix, penalised in inputs(nets, batch).items():
        with full_precision(penalised.real_img):
            for regularizer in regularizers:
                penalty = regularizer.penalty(penalised)
                if penalty is not None:
                    terms[f"{regularizer.name}{suffix}"] = penalty * regularizer.every
    return terms


def _project(phase: Phase, regularizers: Sequence[Regularizer[Any]], nets: Networks) -> None:
    if phase.after_step is not None:
        phase.after_step(nets)
    for regularizer in regularizers:
        for role in phase.trains:
            regularizer.project(nets.eager(role))
