"""Runs each phase on this machine's device, with made-up images, to know how long it takes."""

import time
from collections.abc import Sequence

import torch

from ganforge.interfaces.architecture import Phase
from ganforge.interfaces.batch import Batch, Networks
from ganforge.interfaces.components import Components
from ganforge.interfaces.numerics import cudnn_benchmark, tf32
from ganforge.interfaces.spec import ImageSpec
from ganforge.planning.gpus import GPUS, Cluster, Gpu
from ganforge.planning.workload import active_phases, meta_batch
from ganforge.training.build import build_networks, compile_networks
from ganforge.training.engine.freeze import Frozen
from ganforge.training.engine.optimizers import trainable_parameters
from ganforge.training.runtime import Runtime

_WARM_UP, _RUNS = 2, 3


def this_cluster(count: int, runtime: Runtime) -> Cluster:
    """`count` devices like this machine's; a known GPU has the links of its data sheet.

    Others have neither links nor rates: an all-reduce then counts as free.
    """
    device, infinite = runtime.device, float("inf")
    name, memory = "CPU", infinite
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        memory = torch.cuda.get_device_properties(device).total_memory / 1e9
    known = next((gpu for gpu in GPUS.values() if gpu.name in name.upper()), None)
    rates = (infinite, infinite, infinite, infinite)
    has_bf16 = runtime.precision == "bf16"
    return Cluster(count, known or Gpu(name, memory, *rates, has_bf16, infinite, infinite))


def measure_phases(
    components: Components,
    spec: ImageSpec,
    fields: Sequence[str],
    micro_batch: int,
    runtime: Runtime,
) -> dict[str, float]:
    """Seconds of each phase for one slot: losses and gradients, without the optimizer."""
    config, objective = components.config, components.objective
    architecture = components.bound_architecture(spec)
    modules = build_networks(architecture, config, runtime)
    for module in (*objective.regularizers, *objective.terms, objective.augmentation):
        if module is not None:
            module.to(runtime.device)
    for network in modules.values():
        network.train().requires_grad_(False)
    frozen = Frozen(modules, config.init.freeze)
    networks = Networks(modules, compile_networks(modules, config, runtime))
    made_up = meta_batch(spec, fields, micro_batch, round(config.train.total_kimg * 500))
    values = {name: _random(field, runtime.device) for name, field in made_up.fields.items()}
    batch = Batch(values, nimg=made_up.nimg)
    times: dict[str, float] = {}
    with tf32(config.train.tf32), cudnn_benchmark(config.train.cudnn_benchmark):
        for part, phase in active_phases(architecture, objective, networks, frozen, batch):
            parameters = [*trainable_parameters(modules, phase.trains, frozen).values()]
            seconds = _time(phase, networks, part, parameters, runtime)
            times[phase.name] = times.get(phase.name, 0.0) + seconds
    return times


def _random(like: torch.Tensor, device: torch.device) -> torch.Tensor:
    if like.is_floating_point():
        return torch.rand(like.shape, device=device).mul_(2).sub_(1)
    return torch.zeros(like.shape, dtype=like.dtype, device=device)


def _time(
    phase: Phase,
    networks: Networks,
    batch: Batch,
    parameters: Sequence[torch.nn.Parameter],
    runtime: Runtime,
) -> float:
    for parameter in parameters:
        parameter.requires_grad_(True)
    for run in range(_WARM_UP + _RUNS):
        if run == _WARM_UP:
            start = _now(runtime.device)
        batch.reports.clear()
        with runtime.training_forward():
            terms = phase.loss(networks, batch)
        torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
        for parameter in parameters:
            parameter.grad = None
    elapsed = _now(runtime.device) - start
    for parameter in parameters:
        parameter.requires_grad_(False)
    return elapsed / _RUNS


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
