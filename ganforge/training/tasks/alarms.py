"""What the health monitor raises, and how a run says it: in its log and in log.jsonl."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ganforge.training.state.run_state import TrainingRun

log = logging.getLogger(__name__)

AlarmKind = Literal[
    "discriminator_wins",
    "discriminator_loses",
    "generator_starves",
    "divergence",
    "collapse",
    "memorization",
    "loader_bound",
    "cores_taken",
]


@dataclass(frozen=True)
class Alarm:
    """A fault of a run.

    Attributes:
        fault: what was measured, and what it means.
        advice: what to try.
    """

    kind: AlarmKind
    fault: str
    advice: str

    @property
    def message(self) -> str:
        """Both, in one line."""
        return f"{self.fault} {self.advice}"


def as_records(alarms: Sequence[Alarm]) -> list[dict[str, str]]:
    """The alarms as the field `alarms` of a record: kind, fault and advice of each."""
    return [{"kind": a.kind, "fault": a.fault, "advice": a.advice} for a in alarms]


def warn_of(run: TrainingRun, alarms: Sequence[Alarm]) -> None:
    """Warn of each alarm in the log."""
    for alarm in alarms:
        log.warning("At %s kimg: %s", run.shown_kimg, alarm.message)
