"""The time that recorded kernels take on a GPU.

A kernel takes as long as its arithmetic, its memory traffic or its launch, whichever is longest
(the roofline model: Williams et al. 2009, doi:10.1145/1498765.1498785). The four constants below
were fitted once, to the training times that the authors of StyleGAN 1 to 3 and BigGAN published for
V100 and A100; `tests/benchmarks/plan_published.py --fit` does it again, and docs/planning.md
compares.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ganforge.planning.gpus import Gpu
from ganforge.planning.trace import Kernel

HALF_EFFICIENCY = 0.33
"""Share of the tensor cores' peak that convolutions in 16 bits and TF32 reach."""
FLOAT_EFFICIENCY = 1.35
"""Share of the float32 peak that convolutions reach. Above 1: cuDNN's algorithms for 3x3
convolutions multiply less often than the definition, which is what is counted."""
MEMORY_EFFICIENCY = 0.71
"""Share of the memory's bandwidth that kernels reach."""
LAUNCH_SEC = 72e-6
"""The shortest time between two kernels: what Python and the library spend on one."""


def seconds(kernels: Iterable[Kernel], gpu: Gpu, *, tf32: bool = False) -> float:
    """The time of some kernels, one after the other.

    `tf32` says whether convolutions in float32 may use TF32.
    """
    return sum(kernel_seconds(kernel, gpu, tf32=tf32) for kernel in kernels)


def kernel_seconds(kernel: Kernel, gpu: Gpu, *, tf32: bool = False) -> float:
    """The time of one kernel."""
    rate = gpu.float_tflops * FLOAT_EFFICIENCY
    # Tensor cores do not help convolutions in groups, which are filters here.
    if kernel.is_half and not kernel.is_grouped:
        rate = gpu.half_tflops * HALF_EFFICIENCY
    elif tf32 and not kernel.is_grouped:
        rate = max(rate, gpu.tf32_tflops * HALF_EFFICIENCY)
    return max(
        kernel.flops / (rate * 1e12),
        kernel.traffic / (gpu.memory_gb_per_sec * 1e9 * MEMORY_EFFICIENCY),
        LAUNCH_SEC,
    )


def fuse(kernels: Sequence[Kernel]) -> list[Kernel]:
    """What a compiler makes of these kernels: fewer, which move less.

    A pointwise result is stored only if a kernel that cannot be fused reads it, or nothing reads
    it. All others are computed again where they are needed, from the stored values that they depend
    on, as Inductor does.
    """
    opaque_reads = {v for k in kernels if k.kind in ("dense", "opaque") for v, _ in k.reads}
    all_reads = {value for kernel in kernels for value, _ in kernel.reads}
    sources: dict[int, dict[int, int]] = {}
    """The stored values from which each value that is not stored can be computed."""
    fused: list[Kernel] = []
    for kernel in kernels:
        if kernel.kind in ("dense", "opaque"):
            fused.append(kernel)
            continue
        reads: dict[int, int] = {}
        for value, size in kernel.reads:
            reads |= sources.get(value, {value: size})
        stored = tuple(
            (value, size)
            for value, size in kernel.writes
            if kernel.kind == "reduction" or value in opaque_reads or value not in all_reads
        )
        for value, _ in set(kernel.writes) - set(stored):
            sources[value] = reads
        if stored:
            fused.append(replace(kernel, reads=tuple(reads.items()), writes=stored))
    return fused
