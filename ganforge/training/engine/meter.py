"""Averages since the last log record, kept on the device until they are logged."""

import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch

from ganforge.io.cores import core_wait_sec
from ganforge.training.engine.pace import Pace
from ganforge.training.engine.step import StepResult
from ganforge.training.runtime import Runtime


@dataclass
class _Totals:
    """Sums over the steps since a record; `since` is when they began."""

    since: float
    values: StepResult = field(default_factory=StepResult)
    nimg: int = 0
    data_wait_sec: float = 0.0
    core_wait_since: float | None = None
    """What `core_wait_sec` was when they began."""


class Meter:
    """Means of the step results, speed, and fractions of time spent waiting for data and for cores.

    The first step of a launch compiles and starts the readers: it is left out of speed and waiting,
    unless a record has no other.

    Attributes:
        pace: of the run, for forecasts.
    """

    def __init__(self, runtime: Runtime, clock: Callable[[], float] = time.perf_counter) -> None:
        self.pace = Pace(clock)
        self._runtime = runtime
        self._clock = clock
        self._counts_cores = runtime.device.type == "cpu"
        self._totals = self._begin()
        self._shown = replace(self._totals, values=StepResult())
        self._first: tuple[int, float] | None = None
        """Images and seconds of the first step of this launch."""

    def add(
        self, result: StepResult, batch_size: int, data_wait_sec: float, num_frames: int = 1
    ) -> None:
        """Add one step, on clips of `num_frames`; nothing leaves the device."""
        totals = self._totals
        for name, value in result.sums.items():
            totals.values.add(name, value, result.counts[name])
        if self._first is None:
            begin = self._begin()
            self._first = batch_size, begin.since - totals.since
            for each in (totals, self._shown):
                each.since, each.core_wait_since = begin.since, begin.core_wait_since
        else:
            totals.nimg += batch_size
            totals.data_wait_sec += data_wait_sec
        self.pace.step_ends(num_frames)

    def peek(self) -> dict[str, float]:
        """As `flush`, since the last call of either; does not change what `flush` will return."""
        record = self._record(self._shown)
        values = StepResult(dict(self._totals.values.sums), dict(self._totals.values.counts))
        begin = self._begin()
        self._shown = replace(
            self._totals,
            values=values,
            since=begin.since,
            core_wait_since=begin.core_wait_since,
        )
        return record

    def flush(self) -> dict[str, float]:
        """Means over slots and ranks, speed and memory since the last call.

        All ranks must call it together. The host waits for the device here.
        """
        totals = self._totals
        record = self._record(_Totals(totals.since, core_wait_since=totals.core_wait_since))
        self._totals = self._begin()
        self._shown = replace(self._totals, values=StepResult())
        return record

    def _begin(self) -> _Totals:
        return _Totals(
            self._clock(), core_wait_since=core_wait_sec() if self._counts_cores else None
        )

    def _record(self, before: _Totals) -> dict[str, float]:
        """The record of the steps that are in the totals and not in `before`."""
        record = self._means(before.values)
        now = self._begin()
        nimg, elapsed = self._totals.nimg - before.nimg, now.since - before.since
        if nimg and before.core_wait_since is not None and now.core_wait_since is not None:
            waited = now.core_wait_since - before.core_wait_since
            record["core_wait_fraction"] = _share(waited, elapsed * torch.get_num_threads())
        if nimg == 0 and self._first is not None:
            nimg, elapsed = self._first
        waited = self._totals.data_wait_sec - before.data_wait_sec
        record["img_per_sec"] = nimg / max(elapsed, 1e-9)
        record["data_wait_fraction"] = _share(waited, elapsed)
        record["memory_gb"] = memory_gb(self._runtime.device)
        return record

    def _means(self, before: StepResult) -> dict[str, float]:
        sums, counts = self._totals.values.sums, self._totals.values.counts
        names = [name for name in sorted(sums) if counts[name] > before.counts.get(name, 0)]
        if not names:
            return {}
        means = torch.stack(
            [
                (sums[name] - before.sums[name]) / (counts[name] - before.counts[name])
                if name in before.sums
                else sums[name] / counts[name]
                for name in names
            ]
        )
        means = self._runtime.all_reduce_sum(means) / self._runtime.world_size
        return dict(zip(names, means.tolist(), strict=True))


def _share(part: float, whole: float) -> float:
    return min(1.0, max(0.0, part / max(whole, 1e-9)))


def memory_gb(device: torch.device) -> float:
    """Peak memory in GiB: of the GPU if there is one, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**30 if sys.platform == "darwin" else 2**20)
