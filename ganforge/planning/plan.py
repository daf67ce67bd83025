"""The plan of a run: what it takes in memory, time, data and money on some GPUs."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ganforge.config.models import PipelineConfig
from ganforge.data.reader_processes import MAX_READERS
from ganforge.planning.data_rate import DataRate
from ganforge.planning.gpus import Cluster, Gpu
from ganforge.planning.roofline import MEMORY_EFFICIENCY, seconds
from ganforge.planning.workload import FLOAT_BYTES, Workload

RESERVED_GB = 1.5
"""CUDA's context, cuDNN's workspace, and what the allocator cannot use."""
LINK_EFFICIENCY = 0.7
"""Share of a link's bandwidth that an all-reduce reaches. An assumption."""
COLLECTIVE_SEC = 50e-6
"""The time of an all-reduce of nothing. An assumption."""
WRITE_GB_PER_SEC = 1.0
"""To the disk of checkpoints, hashes included. An assumption."""
_EXTRACTOR_FLOPS = 11.4e9
"""Of Inception-v3 at 299x299, which is 5.7 billion multiplications with addition."""
_STATE_MOVES = 7
"""Times that Adam reads or writes a number of each parameter: p, g, m, v; p, m, v."""
_AVERAGE_MOVES = 3


@dataclass(frozen=True)
class Memory:
    """Bytes on each GPU."""

    weights: int
    averaged_weights: int
    optimizer: int
    gradients: int
    activations: int
    reserved: int

    @property
    def total(self) -> int:
        """All of it."""
        return sum(vars(self).values())


@dataclass(frozen=True)
class PhaseTime:
    """One phase on each rank: seconds of one run of it, and how often it runs."""

    name: str
    every: int
    compute_sec: float
    all_reduce_sec: float

    @property
    def sec_per_step(self) -> float:
        """On average."""
        return (self.compute_sec + self.all_reduce_sec) / self.every


@dataclass(frozen=True)
class Loading:
    """What training reads, and whether the reader processes deliver it."""

    images_per_sec: float
    mb_per_sec: float
    workers: int
    worker_images_per_sec: float
    workers_needed: int
    is_enough: bool
    is_measured: bool


@dataclass(frozen=True)
class Stall:
    """Something for which training waits."""

    count: int
    sec_each: float

    @property
    def total_sec(self) -> float:
        """In the whole run."""
        return self.count * self.sec_each


@dataclass(frozen=True)
class Plan:
    """What a run will take. Times are of training, without `prepare`.

    Attributes:
        gpus: as given, 64xH100.
        basis: how the step's time is known.
        parameters: of each network.
        memory: on each GPU.
        fits: whether it does.
        slots_per_rank: slots that each rank runs one after the other.
        micro_batch: images of a slot.
        steps: of the whole run.
        phases: of a step.
        sec_per_kimg: of training, stalls left out.
        all_reduce_share: of a step.
        loading: what training reads.
        checkpoints: each waits until it is on disk.
        evaluations: during training and after it.
        days: in all.
        price: in all; None where no price of a GPU-hour is given.
        notes: what else a reader should know.
    """

    gpus: str
    basis: str
    parameters: Mapping[str, int]
    memory: Memory
    fits: bool
    slots_per_rank: int
    micro_batch: int
    steps: int
    phases: tuple[PhaseTime, ...]
    sec_per_kimg: float
    all_reduce_share: float
    loading: Loading
    checkpoints: Stall
    evaluations: Stall
    days: float
    price: float | None = None
    notes: tuple[str, ...] = field(default=())


def make_plan(
    config: PipelineConfig,
    work: Workload,
    cluster: Cluster,
    slots_per_rank: int,
    rate: DataRate,
    *,
    basis: str = "roofline",
    measured: Mapping[str, float] | None = None,
    price: float | None = None,
    notes: tuple[str, ...] = (),
) -> Plan:
    """Put together what was counted or measured.

    Args:
        config: the pipeline file.
        work: one slot's share of a step.
        cluster: the GPUs.
        slots_per_rank: slots of each rank.
        rate: of one reader process.
        basis: how the step's time is known.
        measured: seconds of each phase for one slot on a GPU of the cluster; None: the roofline.
        price: of one GPU for one hour.
        notes: for the reader.
    """
    train = config.train
    phases = tuple(phase_times(config, work, cluster, slots_per_rank, measured))
    step_sec = sum(phase.sec_per_step for phase in phases)
    reduce_sec = sum(phase.all_reduce_sec / phase.every for phase in phases)
    memory = memory_of(work)
    steps = -(-round(train.total_kimg * 1000) // train.batch_size)
    checkpoints = _checkpoints(config, memory)
    evaluations = _evaluations(config, work, cluster, phases, slots_per_rank)
    total_sec = steps * step_sec + checkpoints.total_sec + evaluations.total_sec
    return Plan(
        gpus=str(cluster),
        basis=basis,
        parameters=work.parameters,
        memory=memory,
        fits=memory.total <= cluster.gpu.memory_gb * 1e9,
        slots_per_rank=slots_per_rank,
        micro_batch=work.micro_batch,
        steps=steps,
        phases=phases,
        sec_per_kimg=step_sec / train.batch_size * 1000,
        all_reduce_share=reduce_sec / step_sec,
        loading=_loading(config, cluster, train.batch_size / step_sec, rate),
        checkpoints=checkpoints,
        evaluations=evaluations,
        days=total_sec / 86400,
        price=None if price is None else price * cluster.count * total_sec / 3600,
        notes=notes,
    )


def memory_of(work: Workload) -> Memory:
    """Bytes on each GPU, before a compiler saves some of them."""
    top = max(work.phases, key=lambda phase: phase.peak_bytes)
    gradients = top.trained * FLOAT_BYTES
    return Memory(
        weights=(sum(work.parameters.values()) + work.buffer_numbers) * FLOAT_BYTES,
        averaged_weights=work.averaged * FLOAT_BYTES,
        optimizer=work.optimizer_states * FLOAT_BYTES,
        gradients=gradients,
        activations=max(0, top.peak_bytes - gradients),
        reserved=round(RESERVED_GB * 1e9),
    )


def phase_times(
    config: PipelineConfig,
    work: Workload,
    cluster: Cluster,
    slots: int,
    measured: Mapping[str, float] | None,
) -> list[PhaseTime]:
    """Each phase on each rank, which has `slots` slots; the other arguments as in `make_plan`."""
    gpu, found = cluster.gpu, []
    for phase in work.phases:
        if measured is None:
            slot_sec = seconds(phase.kernels, gpu, tf32=config.train.tf32)
        else:
            slot_sec = measured[phase.name]
        num_bytes = (phase.trained + work.buffer_numbers) * FLOAT_BYTES
        compute_sec = slots * slot_sec + _update_sec(phase.trained, gpu)
        reduce_sec = all_reduce_sec(num_bytes, cluster)
        found.append(PhaseTime(phase.name, phase.every, compute_sec, reduce_sec))
    return found


def _update_sec(parameters: int, gpu: Gpu) -> float:
    """Optimizer and averaging, which only move memory."""
    moved = (_STATE_MOVES + _AVERAGE_MOVES) * parameters * FLOAT_BYTES
    return moved / (gpu.memory_gb_per_sec * 1e9 * MEMORY_EFFICIENCY)


def all_reduce_sec(num_bytes: int, cluster: Cluster) -> float:
    """The time of a ring over all GPUs, which the engine does not overlap with anything."""
    if cluster.count == 1:
        return 0.0
    moved = 2 * (cluster.count - 1) / cluster.count * num_bytes
    return COLLECTIVE_SEC + moved / (cluster.bus_gb_per_sec * 1e9 * LINK_EFFICIENCY)


def _loading(
    config: PipelineConfig, cluster: Cluster, images_per_sec: float, rate: DataRate
) -> Loading:
    workers = MAX_READERS if config.data.workers == "auto" else config.data.workers
    per_rank = images_per_sec / cluster.count
    needed = max(1, -int(-per_rank // rate.samples_per_sec))
    return Loading(
        images_per_sec=images_per_sec,
        mb_per_sec=images_per_sec * rate.bytes_per_sample / 1e6,
        workers=workers,
        worker_images_per_sec=rate.samples_per_sec,
        workers_needed=needed,
        is_enough=workers >= needed,
        is_measured=rate.is_measured,
    )


def _checkpoints(config: PipelineConfig, memory: Memory) -> Stall:
    train = config.train
    size = memory.weights + memory.averaged_weights + memory.optimizer
    count = -int(-train.total_kimg // train.checkpoint_every_kimg)
    return Stall(count, size / (WRITE_GB_PER_SEC * 1e9))


def _evaluations(
    config: PipelineConfig,
    work: Workload,
    cluster: Cluster,
    phases: tuple[PhaseTime, ...],
    slots: int,
) -> Stall:
    evaluate = config.evaluate
    count = int("evaluate" in config.stages)
    if evaluate.every_kimg is not None:
        count += int(config.train.total_kimg // evaluate.every_kimg)
    # Forward and backward passes of the longest phase hold more than three of the generator's
    # forward pass.
    longest = max(phase.compute_sec / slots for phase in phases if phase.every == 1)
    generate = longest / 3 / work.micro_batch
    extract = _EXTRACTOR_FLOPS / (cluster.gpu.float_tflops * 1e12 * 0.5)
    return Stall(count, evaluate.num_images / cluster.count * (generate + extract))
