"""What the log says of the game between the networks, against its equilibrium.

Where generated images cannot be told from real ones, the discriminator ranks half of the pairs
right, and its loss and the generator's gradient have the values that `AdversarialLoss.equilibrium`
gives. A healthy run is on its way there.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ganforge.config.models import HealthConfig
from ganforge.training.tasks.alarms import Alarm, AlarmKind

PAIRS, LOSS = "accuracy/pairs", "relative/discriminator_loss"
GRADIENT, NORM, GAP = "relative/generator_gradient", "log_norm", "logit_gap"
# Networks start from nothing: these steps are not judged, and a verdict needs as many more.
_WARMUP_STEPS = 15
_MIN_STEPS = 15
_WINS_ACCURACY = 0.97
_WINS_STEPS = 50  # before, the generator may not know so much as the color of the background
_LOSES_ACCURACY = 0.35
_STARVES_GRADIENT = 0.05
_STARVES_ACCURACY = 0.9  # there is something to learn: where there is not, gradients are small
_NORM_FACTOR = 100.0  # healthy runs stay within a tenth of it
_DIVERGED_LOSS = 2.0


class Window:
    """Means over the last steps: plain ones until the window is full, then exponential."""

    def __init__(self, length: float) -> None:
        self.length = length
        self.steps = 0
        self.means: dict[str, float] = {}

    def add(self, values: Mapping[str, float], steps: int) -> None:
        """Add the means over some steps."""
        self.steps += steps
        weight = min(1.0, steps / min(self.length, self.steps))
        for name, value in values.items():
            old = self.means.get(name, value)
            self.means[name] = old + weight * (value - old)


class GameWatch:
    """Judges log records.

    Args:
        config: thresholds.
        batch_size: images per step.
        generator_phases: names of the phases that train the generating networks.
        max_gap: largest difference of logits that a sound discriminator can have; None for any.
    """

    def __init__(
        self,
        config: HealthConfig,
        batch_size: int,
        generator_phases: Sequence[str],
        max_gap: float | None = None,
    ) -> None:
        self._config = config
        self._batch_size = batch_size
        self._norms = [f"grad_norm/{name}" for name in generator_phases]
        self._window = Window(max(_MIN_STEPS, 1000 * config.window_kimg / batch_size))
        self._steps = 0
        self._max_gap = max_gap
        self._usual_norm: float | None = None
        """As soon as the window has left the first steps behind, whose gradients can be huge."""

    def state_dict(self) -> dict[str, Any]:
        """The state as JSON values."""
        window = self._window
        return {
            "steps": self._steps,
            "window_steps": window.steps,
            "means": window.means,
            "usual_norm": self._usual_norm,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self._steps, self._usual_norm = state["steps"], state["usual_norm"]
        self._window.steps, self._window.means = state["window_steps"], dict(state["means"])

    def observe(self, record: Mapping[str, float], kimg: float) -> dict[AlarmKind, Alarm | None]:
        """Verdicts after a record of the last `kimg`; empty while it is too early for any."""
        steps = max(1, round(1000 * kimg / self._batch_size))
        self._steps += steps
        if self._steps <= _WARMUP_STEPS:
            return {}
        self._window.add(self._select(record), steps)
        if self._window.steps < _MIN_STEPS:
            return {}
        if self._usual_norm is None and self._window.steps >= 2 * self._window.length:
            self._usual_norm = self._window.means.get(NORM)
        found = (self._wins(), self._loses(), self._starves(), self._diverges())
        kinds: tuple[AlarmKind, ...] = (
            "discriminator_wins",
            "discriminator_loses",
            "generator_starves",
            "divergence",
        )
        return dict(zip(kinds, found, strict=True))

    def _select(self, record: Mapping[str, float]) -> dict[str, float]:
        values = {name: record[name] for name in (PAIRS, LOSS, GRADIENT) if name in record}
        if "logits/real" in record:
            values[GAP] = record["logits/real"] - record["logits/gen"]
        norms = [record[name] for name in self._norms if record.get(name, 0.0) > 0]
        norms = [norm for norm in norms if math.isfinite(norm)]  # fp16 overflows now and then
        if norms:  # of their logarithm, so that one spike does not count for a window
            values[NORM] = sum(map(math.log10, norms)) / len(norms)
        return values

    def _wins(self) -> Alarm | None:
        pairs, loss = (self._window.means.get(name) for name in (PAIRS, LOSS))
        limit = self._config.min_discriminator_loss
        if (
            self._steps < _WINS_STEPS
            or pairs is None
            or loss is None
            or pairs < _WINS_ACCURACY
            or loss >= limit
        ):
            return None
        return Alarm(
            "discriminator_wins",
            f"The discriminator wins: it ranks {100 * pairs:.0f} % of pairs right, and its loss is "
            f"{loss:.2f} of the value at which it cannot tell real from generated images (limit "
            f"{limit:g}, train.health.min_discriminator_loss).",
            "The generator may learn little more. Add r1 or raise its gamma, add augmentation "
            "(augment: ada or diffaugment), or lower the discriminator's learning rate.",
        )

    def _loses(self) -> Alarm | None:
        pairs = self._window.means.get(PAIRS)
        if pairs is None or pairs > _LOSES_ACCURACY:
            return None
        return Alarm(
            "discriminator_loses",
            f"The discriminator rates generated images above real ones in {100 - 100 * pairs:.0f} "
            f"% of pairs.",
            "Raise its learning rate or its size, or lower its regularization.",
        )

    def _norm_change(self) -> float:
        """How many times larger the generator's gradient is than usual, as a logarithm."""
        norm, usual = self._window.means.get(NORM), self._usual_norm
        return 0.0 if norm is None or usual is None else norm - usual

    def _shown_norms(self) -> str:
        return f"from {10 ** (self._usual_norm or 0):.2g} to {10 ** self._window.means[NORM]:.2g}"

    def _starves(self) -> Alarm | None:
        gradient, pairs = (self._window.means.get(name) for name in (GRADIENT, PAIRS))
        has_fallen = self._norm_change() < -math.log10(_NORM_FACTOR)
        if gradient is not None and gradient < _STARVES_GRADIENT:
            measured = f"at the logits it is {gradient:.2g} of the value at equilibrium"
        elif has_fallen and pairs is not None and pairs > _STARVES_ACCURACY:
            measured = f"its norm fell {self._shown_norms()}"
        else:
            return None
        return Alarm(
            "generator_starves",
            f"The generator gets almost no gradient: {measured}.",
            "Choose a loss that does not saturate (nonsaturating, hinge or relativistic), add r1, "
            "or lower the discriminator's learning rate.",
        )

    def _diverges(self) -> Alarm | None:
        loss, gap = (self._window.means.get(name) for name in (LOSS, GAP))
        if loss is not None and loss > _DIVERGED_LOSS:
            measured = f"the discriminator's loss is {loss:.1f} times that of guessing"
        elif gap is not None and self._max_gap is not None and abs(gap) > self._max_gap:
            measured = (
                f"real and generated logits are {abs(gap):.3g} apart, which a critic with a slope "
                f"of about 1 cannot reach between images ({self._max_gap:.3g})"
            )
        elif self._norm_change() > math.log10(_NORM_FACTOR):
            measured = f"the generator's gradient grew {self._shown_norms()}"
        else:
            return None
        return Alarm(
            "divergence",
            f"The run diverges: {measured}.",
            "Lower the learning rates, set train.grad_clip_norm, or add a warm-up "
            "(train.schedule.warmup_kimg); wasserstein needs a penalty or weight clipping.",
        )
