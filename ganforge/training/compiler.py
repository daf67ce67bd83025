"""Whether torch.compile works on this machine, and whether a run is long enough to pay for it."""

import functools
import importlib.util
import os
import shutil
import sysconfig
from pathlib import Path

import torch

from ganforge.config.models import TrainConfig
from ganforge.training.unfinished_kernels import remove_unfinished_kernels

# On a CPU compiling takes half a minute to three, which pays for runs of this many steps. In fp32 a
# CPU gains at most a fifth (StyleGAN2; DCGAN nothing), so that it takes longer to pay.
_MIN_CPU_STEPS = 500
_MIN_CPU_STEPS_FP32 = 20_000

# Estimates for a GPU; none has been measured yet.
_COMPILE_MINUTES = 2.0
_SAVED = 0.25
_LAUNCH_SEC = 0.04
"""Time of a step whose kernels end before the host has launched the next."""
_PIXEL_SEC = 2e-7
"""StyleGAN2 takes 12.5 ms for an image of 256 x 256 on an A100, and less for a pixel of larger ones
(NVlabs/stylegan3, docs/configs.md)."""


@functools.cache
def compiler_fault(device_type: str) -> str | None:
    """Why torch.compile does not work for a type of device; None where it compiled a toy.

    Inductor builds kernels for a GPU with Triton, whose launcher is C, and for a CPU in C++; both
    include Python's headers.
    """
    is_gpu = device_type != "cpu"
    if is_gpu and importlib.util.find_spec("triton") is None:
        return "Triton is not installed"
    variable, usual = ("CC", ("gcc", "clang")) if is_gpu else ("CXX", ("g++",))
    names = (os.environ[variable],) if os.environ.get(variable) else usual
    if not any(map(shutil.which, names)):
        language = "C" if is_gpu else "C++"
        return f"no {language} compiler ({' or '.join(names)}) on the path; install g++"
    header = Path(sysconfig.get_path("include")) / "Python.h"
    if not header.is_file():
        return f"{header} is missing; install the Python headers (python3-dev)"
    return _toy_fault(device_type)


def _toy_fault(device_type: str) -> str | None:
    """Why a toy does not compile, in one line. What it builds once, every network needs too."""
    remove_unfinished_kernels()
    x = torch.arange(-8.0, 8.0, device=device_type)
    try:
        found = torch.compile(_toy)(x)
    except Exception as err:  # noqa: BLE001  # each compiler has its own
        lines = str(err).strip().splitlines() or [""]
        return f"a test compilation failed ({type(err).__name__}: {lines[0][:200]})"
    return None if torch.allclose(found, _toy(x)) else "a test compilation gave wrong numbers"


def _toy(x: torch.Tensor) -> torch.Tensor:
    return (2 * x + 1).relu().square()


def too_short(
    train: TrainConfig, size: tuple[int, int] | None, is_cpu: bool, precision: str, world_size: int
) -> str | None:
    """Why a run is too short to pay for compiling; None if it is long enough.

    Args:
        train: its length and batch.
        size: height and width of the images; None counts as 256 x 256.
        is_cpu: whether it trains on a CPU.
        precision: of the forward passes.
        world_size: number of ranks.
    """
    steps = round(train.total_kimg * 1000 / train.batch_size)
    if is_cpu:
        slow_to_pay = precision == "fp32"
        if steps >= (_MIN_CPU_STEPS_FP32 if slow_to_pay else _MIN_CPU_STEPS):
            return None
        return f"{steps} steps{' in fp32 on a CPU' if slow_to_pay else ''} are too few to pay"
    height, width = size or (256, 256)
    pixels = height * width * train.batch_size / world_size
    minutes = steps * max(_LAUNCH_SEC, pixels * _PIXEL_SEC) / 60
    minutes = min(minutes, train.max_minutes or minutes)
    if minutes * _SAVED >= _COMPILE_MINUTES:
        return None
    return (
        f"it would take about {_COMPILE_MINUTES:g} min and save {minutes * _SAVED:.1f} of about "
        f"{minutes:.1f} min of training"
    )
