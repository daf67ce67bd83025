"""What sample pictures say of a run: diversity, mode coverage, and copies of training images."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from ganforge.config.models import HealthConfig
from ganforge.training.tasks.alarms import Alarm, AlarmKind
from ganforge.training.tasks.copies import Copies
from ganforge.training.tasks.modes import Modes, diversity, features

# Every generator starts from images that are all alike: these steps are not judged.
_WARMUP_STEPS = 100
# Of few images, one check can be bad luck for the share of modes; hardly for the mean distance.
_COVERAGE_CHECKS = 2
_DIVERSITY_CHECKS = 1
_COPIES_CHECKS = 2
_MAX_COPIES = 0.25


def is_lost_or_stuck(
    values: Sequence[float], steps: Sequence[int], limit: float, checks: int
) -> bool:
    """Whether a value that a learning generator raises was lost, or never came.

    It must be below `limit` at the last `checks`. That counts only after it was high, or if there
    was no new best for half of the checks and half of the steps so far. `values` and `steps` are
    those of every check, oldest first.
    """
    if len(values) < checks or max(values[-checks:]) >= limit:
        return False
    best = max(values)
    at = values.index(best)
    is_stuck = len(values) - 1 - at > len(values) / 2 and steps[-1] >= 2 * steps[at]
    return best >= limit or is_stuck


class SampleWatch:
    """Judges generated images.

    Args:
        config: thresholds.
        real_img: real images [N, C, H, W], or [N, ...], to compare samples with.
        train: `features` of all training images; None for no search for copies.
    """

    def __init__(self, config: HealthConfig, real_img: Tensor, train: Tensor | None) -> None:
        self._config = config
        real = features(real_img).cpu()
        self._real_diversity = diversity(real)
        self._modes = Modes(real)
        self._copies = None if train is None else Copies(train)
        self._history: dict[str, list[float]] = {"diversity": [], "coverage": [], "copies": []}
        self._steps: list[int] = []

    def state_dict(self) -> dict[str, Any]:
        """The state as JSON values."""
        return {"steps": [*self._steps], **{name: [*v] for name, v in self._history.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self._steps = [*state["steps"]]
        self._history = {name: [*state[name]] for name in self._history}

    def observe(
        self, img: Tensor, step: int
    ) -> tuple[dict[str, float], dict[AlarmKind, Alarm | None]]:
        """What is measured on images [N, C, H, W] after so many steps, and the verdicts."""
        if self._real_diversity == 0:
            return {}, {}
        gen = features(img).cpu()
        measured = {
            "diversity": diversity(gen) / self._real_diversity,
            "coverage": self._modes.coverage(gen),
        }
        if self._copies is not None and img.ndim == 4:
            measured["copies"] = self._copies.fraction(img)
        values = {f"samples/{name}": value for name, value in measured.items()}
        if step < _WARMUP_STEPS:
            return values, {}
        self._steps.append(step)
        for name, value in measured.items():
            self._history[name].append(value)
        return values, {"collapse": self._collapse(), "memorization": self._memorization()}

    def _collapse(self) -> Alarm | None:
        config, history, steps = self._config, self._history, self._steps
        if is_lost_or_stuck(history["diversity"], steps, config.min_diversity, _DIVERSITY_CHECKS):
            fault = (
                f"Samples are nearly alike: their diversity is {history['diversity'][-1]:.2f} of "
                f"the data's (limit {config.min_diversity:g}, train.health.min_diversity)."
            )
        elif is_lost_or_stuck(history["coverage"], steps, config.min_coverage, _COVERAGE_CHECKS):
            fault = (
                f"Mode coverage is {history['coverage'][-1]:.2f} (limit {config.min_coverage:g}, "
                f"train.health.min_coverage): samples hardly ever show the rest of the data."
            )
        else:
            return None
        return Alarm(
            "collapse",
            f"{fault} This is mode collapse.",
            "Go back to an earlier checkpoint; lower the learning rates, add r1 or augmentation, "
            "or set train.health.rollback: true.",
        )

    def _memorization(self) -> Alarm | None:
        copies = self._history["copies"][-_COPIES_CHECKS:]
        if self._copies is None or len(copies) < _COPIES_CHECKS:
            return None
        usual = self._copies.usual
        if min(copies) <= usual + _MAX_COPIES:
            return None
        return Alarm(
            "memorization",
            f"The generator copies training images: {100 * copies[-1]:.0f} % of samples are three "
            f"times nearer to one of them than to any other ({100 * usual:.0f} % of the data's own "
            f"images are).",
            "Use an earlier checkpoint, more data, augmentation (augment: ada or diffaugment), or "
            "start from a trained model (init).",
        )
