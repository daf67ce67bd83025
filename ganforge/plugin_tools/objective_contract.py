"""What the pipeline file asks of the objective is followed by an architecture, or refused."""

from dataclasses import replace
from typing import Any

from torch import Tensor

from ganforge.config.choices import ComponentChoice
from ganforge.config.models import LossConfig
from ganforge.errors import ConfigError
from ganforge.interfaces.architecture import Phase
from ganforge.interfaces.batch import Batch, Networks
from ganforge.interfaces.objective import PenaltyInput, Terms
from ganforge.plugin_tools.cases import Case, broken, start, train_case
from ganforge.training.state.run_state import TrainingRun

_PENALTY_CURE = "Give each phase its network's by `with_penalties`, or refuse them in check()."
_MATCHING_CURE = "Call super().discriminator_terms, or set supports_matching = False."
_N_CRITIC_CURE = "Give the generator's phases every=objective.n_critic, or refuse it in check()."
_ADA_CURE = (
    "Show the discriminator objective.augment(img) and call objective.augmentation.observe with "
    "its logits of real images, or refuse it in check()."
)


def check_objective_is_followed_or_refused(case: Case) -> None:
    """What the pipeline file asks of the loss and of ADA has an effect, or is refused."""
    loss = case.config.loss
    penalties = [*loss.regularizers, ComponentChoice(name="r1", every=1)]
    for asked, update, is_followed, cure in (
        ("regularizers", {"loss": _with(loss, regularizers=penalties)}, _penalises, _PENALTY_CURE),
        ("n_critic", {"loss": _with(loss, n_critic=2)}, _has_slower_phase, _N_CRITIC_CURE),
        ("augment", {"augment": ComponentChoice(name="ada")}, _is_observed, _ADA_CURE),
        ("matching", {"loss": _with(loss, matching=1.0)}, _has_matching_term, _MATCHING_CURE),
        ("relativistic", {"loss": LossConfig(name="relativistic")}, _is_trained, ""),
    ):
        changed = replace(case, config=case.config.model_copy(update=update))
        try:
            run = start(changed)
        except ConfigError:
            continue
        if not is_followed(changed, run):
            raise broken(case, f"{asked} of the pipeline file has no effect.", cure)


def _with(loss: LossConfig, **settings: Any) -> LossConfig:
    return loss.model_copy(update=settings)


def _is_trained(case: Case, run: TrainingRun) -> bool:
    train_case(case, run)  # or it raises, and says what is missing
    return True


def _penalises(case: Case, run: TrainingRun) -> bool:
    penalty, calls = run.objective.regularizers[-1], []
    penalise = penalty.penalty

    def counted(inputs: PenaltyInput) -> Tensor | None:
        calls.append(inputs)
        return penalise(inputs)

    penalty.penalty = counted  # type: ignore[method-assign]
    train_case(case, run)
    return bool(calls)


def _has_slower_phase(case: Case, run: TrainingRun) -> bool:
    return any(phase.every > 1 and not phase.lazy for phase in run.phases)


def _has_matching_term(case: Case, run: TrainingRun) -> bool:
    if not case.conditions:
        return True  # there are no wrong ones
    names: set[str] = set()

    def noted(phase: Phase) -> Phase:
        def loss(nets: Networks, batch: Batch) -> Terms:
            terms = phase.loss(nets, batch)
            names.update(terms)
            return terms

        return replace(phase, loss=loss)

    run.phases = [noted(phase) for phase in run.phases]
    train_case(case, run)
    return any("matching" in name for name in names)


def _is_observed(case: Case, run: TrainingRun) -> bool:
    augmentation, calls = run.objective.augmentation, []
    assert augmentation is not None
    observe = augmentation.observe

    def counted(real_logits: Tensor) -> None:
        calls.append(real_logits)
        observe(real_logits)

    augmentation.observe = counted  # type: ignore[method-assign]
    train_case(case, run)
    return bool(calls)
