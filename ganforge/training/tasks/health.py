"""The health monitor: watches what a run logs and says early when it goes wrong."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

from ganforge.config.models import HealthConfig

# More would split the modes of simple data, and each half would ask for its share.
_MAX_KINDS = 8
_IMAGES_PER_KIND = 4
# A kind counts as drawn when it has this part of the samples that it should have.
_FAIR_PART = 0.25
# Looks in a row at which kinds must be missing: one look at a few images can be bad luck.
_LOOKS = 2


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


class Kinds:
    """A partition of real samples into a few kinds, and how much of it generated ones draw.

    A sample is of the kind whose centre is nearest, so that bad drawings count for what they are
    meant to be: the measure asks for modes and not for quality, unlike coverage by neighbourhoods
    (Naeem et al. 2020, arXiv:2002.09797), which is low for anything not yet sharp.

    Args:
        real: [N, D] features of real samples.

    Source: bins as in Richardson and Weiss 2018, arXiv:1805.12462, Sec. 3.
    """

    def __init__(self, real: Tensor) -> None:
        num_kinds = max(1, min(_MAX_KINDS, real.shape[0] // _IMAGES_PER_KIND))
        self._centres = _centres(real, num_kinds)
        self._part = self._parts(real)

    def _parts(self, samples: Tensor) -> Tensor:
        counts = torch.bincount(_nearest(samples, self._centres), minlength=len(self._centres))
        return counts / max(1, samples.shape[0])

    def drawn(self, gen: Tensor) -> float:
        """The part of the real samples whose kind has a fair part of the generated ones.

        Args:
            gen: [M, D] features of generated samples.
        """
        is_drawn = self._parts(gen) >= _FAIR_PART * self._part
        return float(self._part[is_drawn].sum())


def _nearest(samples: Tensor, centres: Tensor) -> Tensor:
    return torch.cdist(samples, centres).argmin(dim=1)


def _centres(samples: Tensor, num: int) -> Tensor:
    """Centres [num, D] of `num` clusters: Lloyd's iteration from samples far apart; no chance."""
    to_mean = torch.cdist(samples, samples.mean(dim=0, keepdim=True))
    centres = samples[to_mean.argmin()][None]
    for _ in range(num - 1):
        distance = torch.cdist(samples, centres).amin(dim=1)
        centres = torch.cat([centres, samples[distance.argmax()][None]])
    for _ in range(20):
        members = functional.one_hot(_nearest(samples, centres), num).to(samples.dtype)
        counts = members.sum(dim=0)[:, None]
        centres = torch.where(counts > 0, members.T @ samples / counts.clamp(min=1), centres)
    return centres


@dataclass
class _Looks:
    """What the looks at samples have shown so far of the kinds drawn."""

    count: int = 0
    best: float = 0.0
    best_at: int = 0
    low_in_a_row: int = 0
    had_modes: bool = False

    def add(self, drawn: float, limit: float) -> None:
        """Note one look."""
        self.count += 1
        if drawn > self.best:
            self.best, self.best_at = drawn, self.count
        self.low_in_a_row = self.low_in_a_row + 1 if drawn < limit else 0
        self.had_modes |= drawn >= limit

    @property
    def lost_modes(self) -> bool:
        """Whether kinds are missing that were there, or have been long in coming.

        Every generator begins with images all alike; one that learns draws more kinds as it
        goes, and is left alone while its record is not older than half of its life.
        """
        is_stuck = self.count - self.best_at > self.count / 2
        return self.low_in_a_row >= _LOOKS and (self.had_modes or is_stuck)


class HealthMonitor:
    """Turns log records and samples into alarms; each alarm sounds once until it clears.

    Args:
        config: thresholds.
        real_img: real images [N, C, H, W], or [N, ...], to compare samples with.
    """

    def __init__(self, config: HealthConfig, real_img: Tensor) -> None:
        self._config = config
        real = features(real_img).cpu()
        self._real_diversity = diversity(real)
        self._kinds = Kinds(real)
        self._means: dict[str, float] = {}
        self._sounding: set[str] = set()
        self._looks = _Looks()

    def state_dict(self) -> dict[str, Any]:
        """JSON-ready state."""
        return {
            "means": self._means,
            "sounding": sorted(self._sounding),
            "looks": asdict(self._looks),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over `state_dict` output."""
        self._means = dict(state["means"])
        self._sounding = set(state["sounding"])
        self._looks = _Looks(**state.get("looks", {}))

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
        drawn = self._kinds.drawn(gen)
        self._looks.add(drawn, self._config.min_coverage)
        if part < self._config.min_diversity:
            fault = (
                f"Samples are nearly alike: their diversity is {part:.2f} of the data's (limit "
                f"{self._config.min_diversity:g}, train.health.min_diversity)."
            )
        else:
            fault = (
                f"Samples are like {drawn:.2f} of the data (limit {self._config.min_coverage:g}, "
                f"train.health.min_coverage): the rest is hardly ever drawn."
            )
        return self._sound(
            part < self._config.min_diversity or self._looks.lost_modes,
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
