"""Checks that an architecture follows the objective of the pipeline file, or refuses it.

The checks compare values, not names: a term that an architecture computes anew, or reports that do
not belong to the loss, are found whatever they are called.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from ganforge.config.choices import ComponentChoice
from ganforge.config.models import LossConfig, StrictModel
from ganforge.errors import ConfigError
from ganforge.interfaces.batch import Batch, Networks
from ganforge.interfaces.objective import (
    AdversarialLoss,
    ObjectiveTerm,
    PenaltyInput,
    Scores,
    Terms,
)
from ganforge.plugin_tools.cases import Case, start, train_case
from ganforge.training.state.run_state import TrainingRun

_PENALTY_CURE = "Give each phase its network's by `with_penalties`, or refuse them in check()."
_TERM_CURE = (
    "Return what objective.discriminator gives, under its names, or refuse it in check() "
    "(objective.refuse_term)."
)
_CONDITION_CURE = (
    "Score the real images under objective.other_conditions(...) and pass the logits to "
    "objective.discriminator as `rescored`, or refuse the term in check() (objective.refuse_term)."
)
_N_CRITIC_CURE = "Give the generator's phases every=objective.n_critic, or refuse it in check()."
_ADA_CURE = (
    "Show the discriminator objective.augment(img), and call objective.discriminator with its "
    "logits of real images, or refuse it in check()."
)
_REPORT_CURE = "Leave reports of logits and accuracies to objective.discriminator."


def check_objective_is_followed_or_refused(case: Case) -> None:
    """The loss, its terms and ADA have an effect on an architecture, or are refused."""
    penalties = (*case.config.loss.regularizers, ComponentChoice(name="r1", every=1))
    penalized, slower = _with_loss(case, regularizers=penalties), _with_loss(case, n_critic=2)
    relativistic = _with(case, loss=LossConfig(name="relativistic"))
    for key, changed, is_followed, cure in (
        ("loss.regularizers", penalized, _penalizes, _PENALTY_CURE),
        ("loss.n_critic", slower, _has_slower_phase, _N_CRITIC_CURE),
        ("loss.terms", case, _follows_terms, _TERM_CURE),
        ("augment", _with(case, augment=ComponentChoice(name="ada")), _adapts, _ADA_CURE),
        ("loss.name: relativistic", relativistic, _is_trained, ""),
    ):
        run = _started(changed)
        if run is not None and not is_followed(changed, run):
            raise case.broken(f"{key} of the pipeline file has no effect. {cure}")
    _check_mismatched_pairs(case)


def check_reports(case: Case) -> None:
    """Logged logits and accuracies are those of the loss; sign accuracies only if signs count."""
    for name in ("hinge", "wasserstein"):
        changed = _with_loss(case, name=name, regularizers=())
        run = _started(changed)
        if run is None:
            continue
        seen = _Seen().watch(run)
        train_case(changed, run)
        if fault := seen.fault(run.objective.loss.logit_sign_is_class):
            raise case.broken(f"with loss.name={name}, {fault}. {_REPORT_CURE}")


def _with(case: Case, **settings: Any) -> Case:
    return replace(case, config=case.config.model_copy(update=settings))


def _with_loss(case: Case, **settings: Any) -> Case:
    return _with(case, loss=case.config.loss.model_copy(update=settings))


def _started(case: Case) -> TrainingRun | None:
    """A run of the case; None if the architecture refuses it."""
    try:
        return start(case)
    except ConfigError:
        return None


def _is_trained(case: Case, run: TrainingRun) -> bool:
    train_case(case, run)  # or it raises, and says what is missing
    return True


def _penalizes(case: Case, run: TrainingRun) -> bool:
    """Whether each value that the penalty returns is among a phase's terms."""
    regularizer, returned = run.objective.regularizers[-1], list[float]()

    def note(value: Tensor | None, inputs: PenaltyInput) -> None:
        if value is not None:
            returned.append(_mean(value))

    regularizer.penalty = _noting(regularizer.penalty, note)  # type: ignore[method-assign]
    terms = [value for found in _terms_of(case, run) for value in found]
    return bool(returned) and all(_among(value, terms) for value in returned)


def _has_slower_phase(case: Case, run: TrainingRun) -> bool:
    return any(phase.every > 1 and not phase.lazy for phase in run.phases)


class _Probe(ObjectiveTerm[StrictModel]):
    """A term of known size, from the mean square of the generated images' logits."""

    name = "probe"

    def discriminator(self, scores: Scores) -> Terms:
        return {self.name: 1 + scores.gen.float().square().mean()}


def _follows_terms(case: Case, run: TrainingRun) -> bool:
    return _acts(case, run, _Probe(StrictModel()))


def _check_mismatched_pairs(case: Case) -> None:
    """Wrong conditions count as much as `loss.terms` says, or are refused."""
    chosen = ComponentChoice(name="mismatched_pairs", weight=0.7)
    run = _started(_with_loss(case, terms=(chosen,)))
    if case.conditions and run is not None and not _acts(case, run, run.objective.terms[0]):
        raise case.broken(
            f"'mismatched_pairs' does not act with the weight it is given. {_CONDITION_CURE}"
        )


def _acts(case: Case, run: TrainingRun, term: ObjectiveTerm[Any]) -> bool:
    """Whether what a term returns reaches the loss of its phase, scaled as the adversarial term."""
    objective = replace(run.objective, terms=(term,))
    loss, contribute = objective.loss, term.discriminator
    adversarial, contributed = list[float](), list[tuple[float, float]]()

    def contributing(scores: Scores) -> Terms:
        before, terms = adversarial[-1], contribute(scores)
        contributed.extend((before, _mean(value)) for value in terms.values())
        return terms

    _note_loss(loss, lambda value, *_, **named: adversarial.append(_mean(value)))
    term.discriminator = contributing  # type: ignore[method-assign]
    run.phases = run.architecture.phases(objective)
    phases = _terms_of(case, run)
    return bool(contributed) and all(
        any(_have_ratio(terms, *values) for terms in phases) for values in contributed
    )


def _have_ratio(terms: Sequence[float], adversarial: float, contributed: float) -> bool:
    """Whether two of the terms are these values, scaled alike."""
    return any(
        abs(one * contributed - other * adversarial) <= 1e-4 * abs(other * adversarial)
        for one in terms
        for other in terms
        if one is not other and other
    )


def _terms_of(case: Case, run: TrainingRun) -> list[list[float]]:
    """The values of the terms of each phase that ran in one step."""
    found: list[list[float]] = []
    _note_phases(run, lambda terms, nets, batch: found.append([*map(_mean, terms.values())]))
    train_case(case, run)
    return found


def _note_phases(run: TrainingRun, note: Callable[[Terms, Networks, Batch], None]) -> None:
    run.phases = [replace(phase, loss=_noting(phase.loss, note)) for phase in run.phases]


def _note_loss(loss: AdversarialLoss[Any], note: Callable[..., None]) -> None:
    """Pass what the architecture's calls of the discriminator's loss give to `note`."""
    _ = loss.equilibrium  # which the log needs, and which is computed by a call of its own
    loss.discriminator = _noting(loss.discriminator, note)  # type: ignore[method-assign]


def _noting(function: Callable[..., Any], note: Callable[..., None]) -> Callable[..., Any]:
    """The function, which also passes its result and arguments to `note`."""

    def noted(*arguments: Any, **named: Any) -> Any:
        result = function(*arguments, **named)
        note(result, *arguments, **named)
        return result

    return noted


def _among(value: float, values: list[float]) -> bool:
    return any(abs(value - other) <= 1e-5 * max(1.0, abs(value)) for other in values)


def _adapts(case: Case, run: TrainingRun) -> bool:
    """Whether ADA observes the logits of the loss."""
    augmentation, observed = run.objective.augmentation, list[float]()
    assert augmentation is not None
    augmentation.observe = _noting(  # type: ignore[method-assign]
        augmentation.observe, lambda _, real_logits: observed.append(_mean(real_logits))
    )
    seen = _Seen().watch(run)
    train_case(case, run)
    expected = seen.expected()["logits/real"]
    return bool(observed) and all(_among(value, expected) for value in observed)


@dataclass
class _Seen:
    """The logits that reached the loss, and what was reported."""

    pairs: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    reports: dict[str, list[float]] = field(default_factory=dict)

    def watch(self, run: TrainingRun) -> "_Seen":
        """Record what passes through the run's loss and reports from now on."""
        loss = run.objective.loss

        def note_logits(_: Tensor, real_logits: Tensor, gen_logits: Tensor) -> None:
            self.pairs.append((real_logits.detach().float(), gen_logits.detach().float()))

        def note_reports(terms: Terms, nets: Networks, batch: Batch) -> None:
            for name, values in batch.reports.items():
                self.reports.setdefault(name, []).extend(map(float, values))

        _note_loss(loss, note_logits)
        _note_phases(run, note_reports)
        return self

    def expected(self) -> dict[str, list[float]]:
        """What should be reported, by name."""
        return {
            "logits/real": [_mean(real) for real, _ in self.pairs],
            "logits/gen": [_mean(gen) for _, gen in self.pairs],
            "accuracy/real": [_mean(real > 0) for real, _ in self.pairs],
            "accuracy/gen": [_mean(gen < 0) for _, gen in self.pairs],
        }

    def fault(self, sign_is_class: bool) -> str:
        """What is wrong with the reports; empty if nothing."""
        for name, values in self.expected().items():
            reported = self.reports.get(name, [])
            if name.startswith("accuracy") and not sign_is_class:
                if reported:
                    return f"'{name}' is reported, but the sign of a logit means no class"
            elif not reported:
                return f"'{name}' is not reported"
            elif not all(_among(value, values) for value in reported):
                return f"'{name}' is not what the loss was computed from"
        return ""


def _mean(value: Tensor) -> float:
    with torch.no_grad():
        return float(value.detach().float().mean())
