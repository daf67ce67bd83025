"""The health monitor: judges log records and samples of a run, and warns early."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ganforge.interfaces.spec import ImageSpec
from ganforge.training.state.run_state import TrainingRun
from ganforge.training.tasks.alarms import Alarm, AlarmKind, as_records
from ganforge.training.tasks.game import GameWatch, Window
from ganforge.training.tasks.sample_watch import SampleWatch

Verdicts = Mapping[AlarmKind, Alarm | None]
"""None: there is no such fault. What is left out could not be judged yet."""
_MAX_WAITING = 0.3
_WAITING_STEPS = 50
_OF_TIME = {"loader_bound", "cores_taken"}
"""Alarms that depend on the machine, and are no part of the state."""


class HealthMonitor:
    """Turns log records and samples into alarms; an alarm sounds once until its cause is gone.

    Its state depends on the progress of the run alone, never on time, so that a resumed run has
    the same checkpoints. What it knows of waiting, which is time, is not part of the state.

    Args:
        run: what is watched.
        real_img: real images [N, C, H, W], or [N, ...], to compare samples with.
        train: `features` of all training images, to look for copies; None for no such check.
    """

    def __init__(self, run: TrainingRun, real_img: Tensor, train: Tensor | None = None) -> None:
        config, roles = run.config.train, set(run.architecture.ema_roles)
        phases = [p.name for p in run.phases if roles & set(p.trains) and not p.lazy]
        self._enabled = config.health.enabled
        max_gap = _max_gap(run.spec) if run.objective.loss.needs_lipschitz else None
        self._game = GameWatch(config.health, config.batch_size, phases, max_gap)
        self._samples = SampleWatch(config.health, real_img, train)
        self._sounding: set[str] = set()
        self._unlogged: dict[str, Any] = {"values": {}, "alarms": []}
        self._waiting = Window(_WAITING_STEPS)
        self._batch_size = config.batch_size

    def state_dict(self) -> dict[str, Any]:
        """The state as JSON values."""
        return {
            "game": self._game.state_dict(),
            "samples": self._samples.state_dict(),
            "sounding": sorted(self._sounding - _OF_TIME),
            "unlogged": self._unlogged,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self._game.load_state_dict(state["game"])
        self._samples.load_state_dict(state["samples"])
        self._sounding = set(state["sounding"])
        self._unlogged = dict(state["unlogged"])

    def go_back(self, state: Mapping[str, Any] | None, alarm: Alarm) -> None:
        """Restore an earlier state because of an alarm, which the next log record will hold."""
        if state is not None:
            self.load_state_dict(state)
        self._sounding.discard(alarm.kind)
        self._unlogged = {"values": {}, "alarms": as_records([alarm])}

    def observe_log(self, record: Mapping[str, float], kimg: float) -> list[Alarm]:
        """Check a log record of the last `kimg`."""
        if not self._enabled:
            return []
        return self._new({**self._game.observe(record, kimg), **self._waits(record, kimg)})

    def observe_samples(self, img: Tensor, step: int) -> list[Alarm]:
        """Check generated images [N, C, H, W] of different seeds after so many steps.

        What is measured waits for the next log record: see `take_unlogged`.
        """
        if not self._enabled:
            return []
        values, verdicts = self._samples.observe(img, step)
        alarms = self._new(verdicts)
        self._unlogged = {
            "values": values,
            "alarms": [*self._unlogged["alarms"], *as_records(alarms)],
        }
        return alarms

    def take_unlogged(self) -> tuple[dict[str, float], list[dict[str, str]]]:
        """Measurements and alarms of sample pictures since the last call, for a log record."""
        taken, self._unlogged = self._unlogged, {"values": {}, "alarms": []}
        return taken["values"], taken["alarms"]

    def _waits(self, record: Mapping[str, float], kimg: float) -> Verdicts:
        steps = max(1, round(1000 * kimg / self._batch_size))
        names = ("data_wait_fraction", "core_wait_fraction")
        self._waiting.add({name: record.get(name, 0.0) for name in names}, steps)
        data, cores = (self._waiting.means[name] for name in names)
        is_early = self._waiting.steps < _WAITING_STEPS
        return {
            "loader_bound": None if is_early or data <= _MAX_WAITING else _loader_bound(data),
            "cores_taken": None if is_early or cores <= _MAX_WAITING else _cores_taken(cores),
        }

    def _new(self, verdicts: Verdicts) -> list[Alarm]:
        alarms = {kind: alarm for kind, alarm in verdicts.items() if alarm is not None}
        new = [alarm for kind, alarm in alarms.items() if kind not in self._sounding]
        self._sounding = self._sounding - set(verdicts) | set(alarms)
        return new


def _loader_bound(share: float) -> Alarm:
    return Alarm(
        "loader_bound",
        f"Training waits for data {100 * share:.0f} % of the time.",
        "Raise data.workers, put the shards on a local disk (data.cache_dir), or store smaller "
        "images.",
    )


def _cores_taken(share: float) -> Alarm | None:
    threads = torch.get_num_threads()
    if threads == 1:
        return None  # nothing waits for it, so that it loses only what the others take
    return Alarm(
        "cores_taken",
        f"Each thread of this run waits for a core {100 * share:.0f} % of the time, and the others "
        f"wait for it: other programs are running, or a container limits the time.",
        f"Stop other programs, raise the limit, or resume with fewer threads than {threads} "
        f"(train.cpu_threads: 1, for example), which can be several times as fast.",
    )


def _max_gap(spec: ImageSpec) -> float:
    """Three times what a critic with a slope of 1 can tell a white image from a black one.

    Penalties hold the slope at about 1 only, and only where they look.
    """
    return 3 * 2 * math.sqrt(spec.channels * spec.height * spec.width)
