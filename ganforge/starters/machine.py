"""The machine on which `ganforge new` runs, and how fast it trains."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Machine:
    """What trains.

    Attributes:
        name: of the GPU or the processor.
        cores: that this process may use; 0 on a GPU.
        is_gpu: whether there is a CUDA device.
    """

    name: str
    cores: int
    is_gpu: bool

    def __str__(self) -> str:
        if self.is_gpu:
            return self.name
        return f"{self.cores} CPU core{'s' * (self.cores != 1)} ({self.name})"

    @property
    def load(self) -> float:
        """Programs that wanted a core in the last minute, for each core; 0 where that is unknown.

        Above 1, a measured speed is lower than it would be without other programs.
        """
        if self.is_gpu or not hasattr(os, "getloadavg"):
            return 0.0
        return os.getloadavg()[0] / self.cores


@dataclass(frozen=True)
class Speed:
    """What was measured.

    Attributes:
        img_per_sec: with the number of threads that is chosen.
        seconds: of the measurement.
        threads: the number that is chosen; None if all cores are, or on a GPU.
        gain: the speed with it, divided by that with all cores.
    """

    img_per_sec: float
    seconds: float
    threads: int | None = None
    gain: float = 1.0


def this_machine() -> Machine:
    """The GPU that training would use, else the CPU."""
    import torch

    from ganforge.io.cores import own_cores

    if torch.cuda.is_available():
        return Machine(torch.cuda.get_device_name(), 0, is_gpu=True)
    return Machine(_processor(), own_cores(), is_gpu=False)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
