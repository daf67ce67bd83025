"""The health monitor: watches what a run logs and says early when it goes wrong."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

from ganforge.config import HealthConfig

# Looks in a row at which modes must be missing: one look at a few images can be bad luck.
_LOOKS = 2
_NEIGHBOURS = 5
# Fewer realistic images say nothing about modes, and early in training there are few.
_MIN_REALISTIC = 16


@dataclass(frozen=True)
class Alarm:
    """Something is wrong: what, and what people do about it."""

    kind: Literal["collapse", "discriminator_wins", "discriminator_loses"]
    message: str


def features(img: Tensor) -> Tensor:
    """A small space to compare images in, [N, D] float32.

    Args:
        img: [N, C, H, W], averaged to at most 16x16 so that noise and detail count less than
            content; anything else [N, ...] is only flattened.
    """
    if img.ndim == 4:
        side = (min(16, img.shape[2]), min(16, img.shape[3]))
        img = functional.adaptive_avg_pool2d(img.float(), side)
    return img.float().flatten(1)


def diversity(img: Tensor) -> float:
    """Mean distance of two images of a batch, in units of the value range.

    Args:
        img: [N, C, H, W] or [N, D].
    """
    flat = features(img)
    if flat.shape[0] < 2:
        return 0.0
    return float(functional.pdist(flat).mean() / flat.shape[1] ** 0.5)


def coverage(real: Tensor, gen: Tensor) -> tuple[float, float]:
    """How much of the real samples the generated ones reach, and how many of those are realistic.

    A real sample's neighbourhood is the ball that reaches its fifth nearest other real sample.

    Args:
        real: [N, D], N above 5.
        gen: [M, D].

    Returns:
        The part of the neighbourhoods with a generated sample in them, and the part of the
        generated samples that lie in any.

    Source: Naeem et al. 2020, arXiv:2002.09797, Eq. 9; Kynkaanniemi et al. 2019,
    arXiv:1904.06991, Eq. 2.
    """
    exact = "donot_use_mm_for_euclid_dist"  # a sample's distance to itself must be 0
    between = torch.cdist(real, real, compute_mode=exact)
    radius = between.kthvalue(_NEIGHBOURS + 1, dim=1).values
    inside = torch.cdist(real, gen, compute_mode=exact) <= radius[:, None]
    return float(inside.any(dim=1).float().mean()), float(inside.any(dim=0).float().mean())


def expected_coverage(num_real: int, num_gen: float) -> float:
    """The `coverage` to expect when the generated samples are as good as real ones.

    Source: Naeem et al. 2020, arXiv:2002.09797, Sec. 3.2, Eq. 11.
    """
    missed = [(num_real - j) / (num_real + num_gen - j) for j in range(1, _NEIGHBOURS + 1)]
    return 1.0 - math.prod(missed)


def reached_modes(real: Tensor, gen: Tensor) -> float | None:
    """`coverage` as a part of what as many real samples as are realistic would reach.

    One that makes few realistic images is not judged (None): it may be young, or bad at all modes
    alike. So the value drops only when images are good and yet leave out a part of the data.

    Args:
        real: [N, D] features.
        gen: [M, D] features.
    """
    if real.shape[0] <= _NEIGHBOURS:
        return None
    reached, realistic = coverage(real, gen)
    if realistic * gen.shape[0] < _MIN_REALISTIC:
        return None
    return reached / expected_coverage(real.shape[0], realistic * gen.shape[0])


class HealthMonitor:
    """Turns log records and samples into alarms; each alarm sounds once until it clears.

    Args:
        config: thresholds.
        real_img: real images [N, C, H, W], or [N, ...], to compare samples with.
    """

    def __init__(self, config: HealthConfig, real_img: Tensor) -> None:
        self._config = config
        self._real = features(real_img).cpu()
        self._real_diversity = diversity(self._real)
        self._looks_without_modes = 0
        self._means: dict[str, float] = {}
        self._sounding: set[str] = set()

    def state_dict(self) -> dict[str, Any]:
        """JSON-ready state."""
        return {
            "means": self._means,
            "sounding": sorted(self._sounding),
            "looks_without_modes": self._looks_without_modes,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over `state_dict` output."""
        self._means = dict(state["means"])
        self._sounding = set(state["sounding"])
        self._looks_without_modes = int(state.get("looks_without_modes", 0))

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
        gen = features(img).cpu()
        part = diversity(gen) / self._real_diversity
        reached = reached_modes(self._real, gen)
        has_modes = reached is None or reached >= self._config.min_coverage
        self._looks_without_modes = 0 if has_modes else self._looks_without_modes + 1
        if part < self._config.min_diversity:
            fault = (
                f"Samples are nearly alike: their diversity is {part:.2f} of the data's (limit "
                f"{self._config.min_diversity:g}, train.health.min_diversity)."
            )
        else:
            fault = (
                f"Samples look like {1 if reached is None else reached:.2f} of the data (limit "
                f"{self._config.min_coverage:g}, train.health.min_coverage): the rest is never "
                f"drawn."
            )
        return self._sound(
            part < self._config.min_diversity or self._looks_without_modes >= _LOOKS,
            "collapse",
            f"{fault} This is mode collapse. Go back to an earlier checkpoint; lower the learning "
            f"rates, add r1 or augmentation, or set train.health.rollback: true.",
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
