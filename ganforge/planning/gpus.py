"""GPUs by their data sheets, and how many of them: 64xH100."""

import re
from dataclasses import dataclass

from ganforge.errors import ConfigError, suggest

GPUS_PER_NODE = 8


@dataclass(frozen=True)
class Gpu:
    """What a data sheet says of a GPU: dense peak rates, without sparsity.

    Attributes:
        name: as on the command line.
        memory_gb: GB of memory.
        memory_gb_per_sec: GB/s to and from it.
        float_tflops: in float32, without tensor cores.
        tf32_tflops: in TF32; that of float32 where the GPU has no TF32.
        half_tflops: in 16 bits, on tensor cores.
        has_bf16: whether it computes in bfloat16.
        link_gb_per_sec: GB/s to the other GPUs of its node, one way (NVLink).
        network_gb_per_sec: GB/s to other nodes, one way: its share of the node's usual network.
    """

    name: str
    memory_gb: float
    memory_gb_per_sec: float
    float_tflops: float
    tf32_tflops: float
    half_tflops: float
    has_bf16: bool
    link_gb_per_sec: float
    network_gb_per_sec: float


GPUS = {
    gpu.name: gpu
    for gpu in (
        # The network of DGX-1 (4 x 100 Gb/s), DGX A100 (8 x 200) and DGX H100 (8 x 400).
        Gpu("V100", 32, 900, 15.7, 15.7, 125, False, 150, 6.25),
        Gpu("A100", 80, 2039, 19.5, 156, 312, True, 300, 25),
        Gpu("H100", 80, 3350, 67, 494, 989, True, 450, 50),
        Gpu("H200", 141, 4800, 67, 494, 989, True, 450, 50),
    )
}


@dataclass(frozen=True)
class Cluster:
    """Equal GPUs, one rank each."""

    count: int
    gpu: Gpu

    def __str__(self) -> str:
        return f"{self.count}x{self.gpu.name}"

    @property
    def bus_gb_per_sec(self) -> float:
        """GB/s of the slowest link of a ring over all GPUs."""
        gpu = self.gpu
        return gpu.link_gb_per_sec if self.count <= GPUS_PER_NODE else gpu.network_gb_per_sec


def parse_gpus(text: str) -> Cluster:
    """Read 64xH100, or H100 for one.

    Raises:
        ConfigError: it is neither, or the GPU is not known; the known ones are listed.
    """
    match = re.fullmatch(r"(?:(\d{1,6})\s*[xX*]\s*)?([A-Za-z][\w-]*)", text.strip())
    count = 0 if match is None else int(match[1] or 1)
    if match is None or count < 1:
        raise ConfigError(f"--gpus {text!r} is not COUNTxGPU. Write e.g. 8xA100 or 64xH100.")
    name = match[2].upper()
    if name not in GPUS:
        raise ConfigError(
            f"--gpus {text}: no data sheet of '{match[2]}' is known. {suggest(name, GPUS)} On "
            f"another GPU, measure a step: ganforge plan PIPELINE --gpus {count} --measure."
        )
    return Cluster(count, GPUS[name])


def parse_count(text: str) -> int:
    """Read a number of GPUs, for `--measure`.

    Raises:
        ConfigError: it is none.
    """
    if not re.fullmatch(r"[1-9]\d{0,5}", text.strip()):
        raise ConfigError(
            f"--gpus {text!r}: with --measure, give the number of devices like that of this "
            f"machine, e.g. --gpus 8."
        )
    return int(text)
