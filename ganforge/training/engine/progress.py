"""The progress of a run, and pure functions of it: seeds, learning-rate factor, intervals."""

import math
import zlib
from dataclasses import dataclass

import torch

from ganforge.config.schedules import ScheduleConfig
from ganforge.io.hashing import GAMMA, splitmix64


@dataclass
class Progress:
    """The counters of a run.

    Attributes:
        step: discriminator optimizer updates so far.
        nimg: real images shown so far.
    """

    step: int = 0
    nimg: int = 0

    @property
    def kimg(self) -> float:
        """Thousands of real images shown."""
        return self.nimg / 1000

    def advance(self, batch_size: int) -> None:
        """Count one step."""
        self.step += 1
        self.nimg += batch_size

    def crossed(self, every_kimg: float, batch_size: int) -> bool:
        """Whether the last step passed a multiple of `every_kimg`."""
        every = max(1, round(every_kimg * 1000))
        return self.nimg // every != (self.nimg - batch_size) // every


def shown_kimg(kimg: float, total_kimg: float) -> str:
    """Progress with the decimals that a run of this length needs: 12.5 of 120, 0.032 of 0.04."""
    decimals = 1 if total_kimg >= 10 else 2 if total_kimg >= 1 else 3
    return f"{kimg:.{decimals}f}"


def slot_seed(seed: int, step: int, purpose: str, slot: int) -> int:
    """A 63-bit seed for one purpose (such as a phase) of one slot of one step.

    Because the seed depends on these integers alone, a resume needs no generator state, and the
    run does not depend on how slots are spread over ranks.
    """
    state = splitmix64(seed)
    for value in (step, zlib.crc32(purpose.encode()), slot):
        state = splitmix64(state + value + GAMMA)
    return state >> 1


def seed_slot(seed: int, step: int, purpose: str, slot: int) -> None:
    """Seed torch's generators on all devices for one purpose of one slot."""
    torch.manual_seed(slot_seed(seed, step, purpose, slot))


def lr_factor(schedule: ScheduleConfig, nimg: int, total_kimg: float) -> float:
    """The factor on the learning rate after `nimg` images."""
    kimg = nimg / 1000
    warmup = min(1.0, kimg / schedule.warmup_kimg) if schedule.warmup_kimg else 1.0
    if schedule.name == "constant":
        return warmup
    if schedule.step_kimg is not None:
        return warmup * schedule.factor ** (nimg // max(1, round(schedule.step_kimg * 1000)))
    end = total_kimg if schedule.decay_end_kimg is None else schedule.decay_end_kimg
    length = max(end - schedule.decay_start_kimg, 1e-9)
    done = min(1.0, max(0.0, (kimg - schedule.decay_start_kimg) / length))
    left = 1 - done if schedule.name == "linear" else (1 + math.cos(math.pi * done)) / 2
    return warmup * (schedule.final_factor + (1 - schedule.final_factor) * left)
