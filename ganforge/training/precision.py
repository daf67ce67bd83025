"""The precision of forward passes: the fastest safe one that the hardware supports."""

from pathlib import Path
from typing import Literal

import torch

Precision = Literal["bf16", "fp32", "fp16"]
PrecisionChoice = Precision | Literal["auto"]

_CPUINFO = Path("/proc/cpuinfo")
_BF16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}  # the last is Arm's
_FLAG_LINES = ("flags", "Features")  # x86, Arm


def has_bf16(device: torch.device) -> bool:
    """Whether the device computes in bfloat16 natively.

    Emulation is slow: with AVX2 alone, DCGAN's step took 70 times as long as in float32. Unknown
    processors count as emulating.
    """
    if device.type == "cuda":
        with torch.cuda.device(device):
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(_BF16_FLAGS & cpu_flags())


def cpu_flags() -> set[str]:
    """Instruction sets of this processor, as Linux names them; empty on other systems."""
    try:
        lines = _CPUINFO.read_text().splitlines()
    except OSError:
        return set()
    found = (line.partition(":")[2] for line in lines if line.startswith(_FLAG_LINES))
    return set(next(found, "").split())


def choose_precision(wanted: PrecisionChoice, bf16: bool, is_cpu: bool) -> tuple[Precision, str]:
    """The precision to run in, and a line for the log, empty where the user chose well.

    `bf16` says whether the devices of all ranks compute in bfloat16 natively.
    """
    if wanted == "auto":
        if bf16:
            return "bf16", "Precision: bf16 (auto: the hardware has it)."
        other = "" if is_cpu else "; train.precision=fp16 may be faster"
        return "fp32", f"Precision: fp32 (auto: this hardware only emulates bf16{other})."
    if wanted == "bf16" and not bf16:
        return wanted, "train.precision=bf16 is only emulated here, many times slower than fp32."
    return wanted, ""
