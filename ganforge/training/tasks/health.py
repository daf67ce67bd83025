"""The health monitor: watches logs and samples of a run and warns early when it goes wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from ganforge.config.models import HealthConfig
from ganforge.training.tasks.modes import Modes, diversity, features

# Modes must be missing in this many checks in a row: one check of few images can be bad luck.
_CHECKS = 2

AlarmKind = Literal["collapse", "discriminator_wins", "discriminator_loses"]


@dataclass(frozen=True)
class Alarm:
    """A fault of a run, with a message that says what to do."""

    kind: AlarmKind
    message: str


def modes_are_missing(coverage: Sequence[float], limit: float) -> bool:
    """Whether modes were lost or never learned.

    Every generator starts from images that are all alike. One that learns covers more modes over
    time, so low coverage counts only after it was high, or if it has not improved for half of the
    checks so far. `coverage` is that of every check, oldest first; it is low below `limit`.
    """
    if len(coverage) < _CHECKS or max(coverage[-_CHECKS:]) >= limit:
        return False
    best = max(coverage)
    checks_since_best = len(coverage) - 1 - coverage.index(best)
    return best >= limit or checks_since_best > len(coverage) / 2


class HealthMonitor:
    """Turns log records and samples into alarms; an alarm sounds once until its cause is gone.

    Args:
        config: thresholds.
        real_img: real images [N, C, H, W], or [N, ...], to compare samples with.
    """

    def __init__(self, config: HealthConfig, real_img: Tensor) -> None:
        self._config = config
        real = features(real_img).cpu()
        self._real_diversity = diversity(real)
        self._modes = Modes(real)
        self._means: dict[str, float] = {}
        self._sounding: set[str] = set()
        self._coverage: list[float] = []

    def state_dict(self) -> dict[str, Any]:
        """The state as JSON values."""
        sounding = sorted(self._sounding)
        return {"means": self._means, "sounding": sounding, "coverage": [*self._coverage]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self._means = dict(state["means"])
        self._sounding = set(state["sounding"])
        self._coverage = list(state.get("coverage", ()))

    def observe_log(self, record: Mapping[str, float], kimg_since_last: float) -> list[Alarm]:
        """Check one log record."""
        if not self._config.enabled or "logits/real" not in record:
            return []
        weight = min(1.0, kimg_since_last / self._config.window_kimg)
        for name in ("logits/real", "logits/gen"):
            old = self._means.get(name, record[name])
            self._means[name] = old + weight * (record[name] - old)
        gap = self._means["logits/real"] - self._means["logits/gen"]
        limit = self._config.max_logit_gap
        return [
            *self._sound(
                gap > limit,
                "discriminator_wins",
                f"The discriminator wins by a logit gap of {gap:.1f} (limit {limit:g}, "
                f"train.health.max_logit_gap): the generator may learn nothing. Add or raise r1, "
                f"lower the discriminator's learning rate, or add augmentation.",
            ),
            *self._sound(
                gap < -limit,
                "discriminator_loses",
                f"The discriminator rates generated images {-gap:.1f} above real ones. Raise its "
                f"learning rate or lower its regularization.",
            ),
        ]

    def observe_samples(self, img: Tensor) -> list[Alarm]:
        """Check generated images [N, C, H, W] of different seeds."""
        config = self._config
        if not config.enabled or self._real_diversity == 0:
            return []
        gen = features(img).cpu()
        relative_diversity = diversity(gen) / self._real_diversity
        self._coverage.append(self._modes.coverage(gen))
        is_uniform = relative_diversity < config.min_diversity
        fault = (
            f"Samples are nearly alike: their diversity is {relative_diversity:.2f} of the data's "
            f"(limit {config.min_diversity:g}, train.health.min_diversity)."
            if is_uniform
            else f"Mode coverage is {self._coverage[-1]:.2f} (limit {config.min_coverage:g}, "
            f"train.health.min_coverage): samples hardly ever show the rest of the data."
        )
        return self._sound(
            is_uniform or modes_are_missing(self._coverage, config.min_coverage),
            "collapse",
            f"{fault} This is mode collapse. Go back to an earlier checkpoint; lower the learning "
            f"rates, add r1 or augmentation, or set train.health.rollback: true.",
        )

    def _sound(self, is_bad: bool, kind: AlarmKind, message: str) -> list[Alarm]:
        if not is_bad:
            self._sounding.discard(kind)
            return []
        if kind in self._sounding:
            return []
        self._sounding.add(kind)
        return [Alarm(kind, message)]
