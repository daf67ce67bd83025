"""Averages since the last log record, kept on the device until they are logged."""

import resource
import sys
import time

import torch

from ganforge.training.engine.step import StepResult
from ganforge.training.runtime import Runtime


class Meter:
    """Means of the step results, speed, and the fraction of time spent waiting for data."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._reset()

    def _reset(self) -> None:
        self._total = StepResult()
        self._nimg = 0
        self._data_wait_sec = 0.0
        self._start = time.perf_counter()

    def add(self, result: StepResult, batch_size: int, data_wait_sec: float) -> None:
        """Add one step; nothing leaves the device."""
        for name, value in result.sums.items():
            self._total.add(name, value, result.counts[name])
        self._nimg += batch_size
        self._data_wait_sec += data_wait_sec

    def flush(self) -> dict[str, float]:
        """Means over slots and ranks, speed and memory since the last call.

        All ranks must call it together. The host waits for the device here.
        """
        names = sorted(self._total.sums)
        values: list[float] = []
        if names:
            means = torch.stack([self._total.sums[n] / self._total.counts[n] for n in names])
            values = (self._runtime.all_reduce_sum(means) / self._runtime.world_size).tolist()
        elapsed = max(time.perf_counter() - self._start, 1e-9)
        record = dict(zip(names, values, strict=True))
        record["img_per_sec"] = self._nimg / elapsed
        record["data_wait_fraction"] = min(1.0, self._data_wait_sec / elapsed)
        record["memory_gb"] = memory_gb(self._runtime.device)
        self._reset()
        return record


def memory_gb(device: torch.device) -> float:
    """Peak memory in GiB: of the GPU if there is one, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**30 if sys.platform == "darwin" else 2**20)
