"""The health monitor: watches what a run logs and says early when it goes wrong."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor
from torch.nn import functional

from ganforge.config import HealthConfig


@dataclass(frozen=True)
class Alarm:
    """Something is wrong: what, and what people do about it."""

    kind: Literal["collapse", "discriminator_wins", "discriminator_loses"]
    message: str


def diversity(img: Tensor) -> float:
    """Mean distance of two images of a batch, in units of the value range.

    Args:
        img: [N, C, H, W] or [N, D], N at least 2. Images are first averaged to at most 16x16,
            so that noise and detail count less than content.
    """
    if img.ndim == 4:
        side = (min(16, img.shape[2]), min(16, img.shape[3]))
        img = functional.adaptive_avg_pool2d(img.float(), side)
    flat = img.float().flatten(1)
    count = flat.shape[0]
    total = functional.pdist(flat).mean() if count > 1 else flat.new_zeros(())
    return float(total / flat.shape[1] ** 0.5)


class HealthMonitor:
    """Turns log records and samples into alarms; each alarm sounds once until it clears.

    Args:
        config: thresholds.
        real_diversity: `diversity` of real images.
    """

    def __init__(self, config: HealthConfig, real_diversity: float) -> None:
        self._config = config
        self._real_diversity = real_diversity
        self._means: dict[str, float] = {}
        self._sounding: set[str] = set()

    def state_dict(self) -> dict[str, Any]:
        """JSON-ready state."""
        return {"means": self._means, "sounding": sorted(self._sounding)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over `state_dict` output."""
        self._means = dict(state["means"])
        self._sounding = set(state["sounding"])

    def observe_log(self, record: Mapping[str, float], kimg_since_last: float) -> list[Alarm]:
        """Look at one log record."""
        if not self._config.enabled or "logits/real" not in record:
            return []
        weight = min(1.0, kimg_since_last / self._config.window_kimg)
        for name in ("logits/real", "logits/gen"):
            old = self._means.get(name, record[name])
            self._means[name] = old + weight * (record[name] - old)
        gap = self._means["logits/real"] - self._means["logits/gen"]
        return [
            *self._sound(
                gap > self._config.max_logit_gap,
                "discriminator_wins",
                f"The discriminator wins by a logit gap of {gap:.1f} (limit "
                f"{self._config.max_logit_gap:g}, train.health.max_logit_gap): the generator may "
                f"learn nothing. Add or raise r1, lower its learning rate, or add augmentation.",
            ),
            *self._sound(
                gap < -self._config.max_logit_gap,
                "discriminator_loses",
                f"The discriminator rates generated images {-gap:.1f} above real ones. Raise its "
                f"learning rate or lower its regularization.",
            ),
        ]

    def observe_samples(self, img: Tensor) -> list[Alarm]:
        """Look at generated images [N, C, H, W] of different seeds."""
        if not self._config.enabled or self._real_diversity == 0:
            return []
        part = diversity(img) / self._real_diversity
        return self._sound(
            part < self._config.min_diversity,
            "collapse",
            f"Samples are nearly alike: their diversity is {part:.2f} of the data's (limit "
            f"{self._config.min_diversity:g}, train.health.min_diversity). This is mode collapse. "
            f"Go back to an earlier checkpoint; lower the learning rates, add r1 or augmentation, "
            f"or set train.health.rollback: true.",
        )

    def _sound(
        self,
        is_bad: bool,
        kind: Literal["collapse", "discriminator_wins", "discriminator_loses"],
        message: str,
    ) -> list[Alarm]:
        if not is_bad:
            self._sounding.discard(kind)
            return []
        if kind in self._sounding:
            return []
        self._sounding.add(kind)
        return [Alarm(kind, message)]
