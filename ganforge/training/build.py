"""Build a training run from a pipeline file: components, networks, optimizers, compilation."""

import logging
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from ganforge.config.models import PipelineConfig
from ganforge.interfaces.architecture import Architecture, Phase
from ganforge.interfaces.batch import Networks
from ganforge.interfaces.components import Components
from ganforge.interfaces.spec import ImageSpec
from ganforge.layers.sync_batchnorm import convert_sync_batchnorm
from ganforge.training.compiler import compiler_fault, too_short
from ganforge.training.engine.ema import Ema
from ganforge.training.engine.freeze import Frozen
from ganforge.training.engine.optimizers import build_optimizers
from ganforge.training.engine.progress import seed_slot
from ganforge.training.layout import (
    images_channels_last,
    to_channels_last,
    wants_channels_last,
)
from ganforge.training.preflight import check_trainable, choose_slots
from ganforge.training.runtime import Runtime
from ganforge.training.state.run_state import TrainingRun
from ganforge.training.unfinished_kernels import remove_unfinished_kernels

log = logging.getLogger(__name__)


def build_run(
    components: Components, spec: ImageSpec, runtime: Runtime, num_slots: int | None = None
) -> TrainingRun:
    """Build everything that trains, with weights initialized from `train.seed`.

    `num_slots` are those of the checkpoint that will be restored, if any.

    Raises:
        ConfigError: batch, slots and ranks do not fit; a combination is forbidden.
    """
    config, objective = components.config, components.objective
    architecture = components.bound_architecture(spec)
    num_slots = choose_slots(config, runtime.world_size, num_slots)
    check_trainable(architecture, objective, config, num_slots)
    modules = build_networks(architecture, config, runtime)
    frozen = Frozen(modules, config.init.freeze)
    phases = architecture.phases(objective)
    optimizers = build_optimizers(architecture, phases, modules, config.train, frozen)
    run = TrainingRun(
        config=config,
        architecture=architecture,
        objective=objective,
        runtime=runtime,
        nets=Networks(modules, compile_networks(modules, config, runtime)),
        ema=Ema(
            modules, architecture.ema_roles, config.train.ema_halflife_kimg, config.train.ema_rampup
        ),
        phases=_without_idle(phases, modules, frozen),
        optimizers=optimizers,
        num_slots=num_slots,
        channels_last=images_channels_last(modules.values(), config.train, runtime.device),
        frozen=frozen,
        scalers={
            group: torch.amp.GradScaler(runtime.device.type)
            for group in optimizers
            if runtime.precision == "fp16"
        },
    )
    run.slot_state = [{} for _ in run.local_slots]
    for module in run.stateful_modules().values():
        module.to(runtime.device)
    return run


def _without_idle(
    phases: list[Phase], modules: Mapping[str, nn.Module], frozen: Frozen
) -> list[Phase]:
    """The phases that have something left to train; says which have not."""
    left = frozen.without_idle(phases, modules)
    idle = [phase.name for phase in phases if phase not in left]
    if idle:
        log.info("Skipped phases: %s. init.freeze freezes all they train.", ", ".join(idle))
    return left


def build_networks(
    architecture: Architecture[Any], config: PipelineConfig, runtime: Runtime
) -> dict[str, nn.Module]:
    """Initialized networks on the device, in the fastest memory format of the device."""
    seed_slot(config.train.seed, 0, "weights", 0)
    modules = architecture.networks()
    for role, module in modules.items():
        if wants_channels_last(module, config.train, runtime.device):
            to_channels_last(module)
        if config.train.sync_batchnorm:
            module = convert_sync_batchnorm(module)
        modules[role] = module.to(runtime.device)
    return modules


def compile_networks(
    modules: Mapping[str, nn.Module], config: PipelineConfig, runtime: Runtime
) -> dict[str, nn.Module]:
    """Compile the networks when the pipeline file, or its `auto`, says so; says why in one line."""
    wanted, reason = choose_compile(config, runtime)
    log.info("torch.compile: %s (%s).", "on" if wanted else "off", reason)
    if not wanted:
        return {}
    # The same random numbers as eager, in the same order, so that compiled and eager runs agree:
    # torch 2.11 moves them when it reorders a graph without gradients.
    torch._inductor.config.fallback_random = True
    torch._inductor.config.reorder_for_locality = False
    torch._dynamo.config.cache_size_limit = 64
    remove_unfinished_kernels()
    compiled: dict[str, nn.Module] = {}
    for role, module in modules.items():
        compiled[role] = torch.compile(module, dynamic=False)  # type: ignore[assignment]
    return compiled


def choose_compile(config: PipelineConfig, runtime: Runtime) -> tuple[bool, str]:
    """Whether to compile, and why; equal on all ranks, which must all call it."""
    train, device = config.train, runtime.device.type
    if train.compile != "auto":
        return train.compile, f"train.compile is {str(train.compile).lower()}"
    short = too_short(
        train, config.data.height_width, device == "cpu", runtime.precision, runtime.world_size
    )
    if short is not None:
        return False, f"auto: {short}"
    faults = [fault for fault in runtime.gather_object(compiler_fault(device)) if fault]
    if faults:
        return False, f"auto: {faults[0]}"
    return True, "auto: a test compilation worked, and the run is long enough"
