"""Build a training run from a pipeline file: components, networks, optimizers, compilation."""

import logging
import os
import shutil
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

from ganforge.config.models import PipelineConfig
from ganforge.errors import ConfigError, PluginContractError
from ganforge.interfaces.architecture import Architecture, Phase
from ganforge.interfaces.batch import Networks
from ganforge.interfaces.objective import AdversarialLoss, Augmentation, Objective, Regularizer
from ganforge.interfaces.spec import ImageSpec
from ganforge.layers.batchnorm import BatchNorm
from ganforge.layers.minibatch import MinibatchStdDev
from ganforge.layers.sync_batchnorm import convert_sync_batchnorm
from ganforge.registry.plugins import Registry, get_registry
from ganforge.training.engine.ema import Ema
from ganforge.training.engine.optimizers import build_optimizers
from ganforge.training.engine.progress import seed_slot
from ganforge.training.engine.standing_statistics import check_standing_statistics
from ganforge.training.preflight import check_objective, warn_of_conditions, warn_of_objective
from ganforge.training.runtime import Runtime
from ganforge.training.state.run_state import TrainingRun

log = logging.getLogger(__name__)
# Compiling takes half a minute to three, which pays only for runs of this many steps. In fp32 a
# CPU gains at most a fifth (StyleGAN2; DCGAN nothing), so that it takes longer to pay.
_MIN_COMPILED_STEPS = 500
_MIN_COMPILED_STEPS_CPU_FP32 = 20_000
_FEW_FOR_BATCHNORM = 8


def build_architecture(
    config: PipelineConfig, registry: Registry | None = None
) -> Architecture[Any]:
    """The architecture that the pipeline file names, with its options."""
    registry = registry or get_registry()
    return registry.build(Architecture, config.model.architecture, config.model.options, "model")


def build_objective(config: PipelineConfig, registry: Registry | None = None) -> Objective:
    """The loss, regularizers and augmentation that the pipeline file names."""
    registry = registry or get_registry()
    loss = config.loss
    return Objective(
        loss=registry.build(AdversarialLoss, loss.name, loss.options, "loss"),
        regularizers=tuple(
            registry.build(Regularizer, r.name, r.options, f"loss.regularizers[{index}]")
            for index, r in enumerate(loss.regularizers)
        ),
        augmentation=None
        if config.augment is None
        else registry.build(Augmentation, config.augment.name, config.augment.options, "augment"),
        n_critic=loss.n_critic,
        matching=loss.matching,
        unroll=loss.unroll,
    )


def build_run(
    config: PipelineConfig, spec: ImageSpec, runtime: Runtime, num_slots: int | None = None
) -> TrainingRun:
    """Build everything that trains, with weights initialised from `train.seed`.

    Args:
        config: the resolved pipeline file.
        spec: what the images look like.
        runtime: device and ranks.
        num_slots: the slots of the checkpoint that will be restored, if any.

    Raises:
        ConfigError: batch, slots and ranks do not fit; a combination is forbidden.
    """
    architecture, objective = build_architecture(config), build_objective(config)
    check_objective(architecture, spec, objective)
    num_slots = choose_slots(config, runtime.world_size, num_slots)
    modules = build_networks(architecture, spec, config, runtime)
    warn_of_objective(objective, modules.values())
    warn_of_conditions(architecture, spec, objective)
    check_standing_statistics(architecture, modules, spec, config.train.standing_statistics)
    ema = Ema(
        modules, architecture.ema_roles, config.train.ema_halflife_kimg, config.train.ema_rampup
    )
    phases = architecture.phases(objective)
    check_phases(architecture, phases, modules)
    optimizers = build_optimizers(architecture, phases, modules, config.train)
    run = TrainingRun(
        config=config,
        spec=spec,
        architecture=architecture,
        objective=objective,
        runtime=runtime,
        nets=Networks(modules, compile_networks(modules, config, runtime)),
        ema=ema,
        phases=phases,
        optimizers=optimizers,
        num_slots=num_slots,
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


def build_networks(
    architecture: Architecture[Any], spec: ImageSpec, config: PipelineConfig, runtime: Runtime
) -> dict[str, nn.Module]:
    """Initialised networks on the device, in the memory format that the device likes."""
    seed_slot(config.train.seed, 0, "weights", 0)
    modules = architecture.networks(spec)
    for role, module in modules.items():
        if config.train.channels_last:
            to_channels_last(module)
        if config.train.sync_batchnorm:
            module = convert_sync_batchnorm(module)
        modules[role] = module.to(runtime.device)
    return modules


@torch.no_grad()
def to_channels_last(module: nn.Module) -> None:
    """Lay the weights of 2-D convolutions out as channels_last; others stay as they are.

    `module.to(memory_format=...)` refuses modules with 3-D convolutions.
    """
    for parameter in module.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


def choose_slots(config: PipelineConfig, world_size: int, fixed: int | None) -> int:
    """The number of slots, checked against batch size and ranks.

    Raises:
        ConfigError: they do not divide each other.
    """
    batch_size = config.train.batch_size
    slots = fixed or config.train.slots or world_size
    if batch_size % slots:
        down, up = max(slots, batch_size // slots * slots), -(-batch_size // slots) * slots
        raise ConfigError(
            f"train.batch_size={batch_size} cannot be cut into {slots} equal slots (train.slots, "
            f"by default the number of ranks). Use a multiple of {slots}, e.g. {down} or {up}."
        )
    if slots % world_size:
        raise ConfigError(
            f"{slots} slots cannot be spread evenly over {world_size} ranks. Launch with a number "
            f"of processes that divides {slots}"
            + (", which the checkpoint has fixed." if fixed else ", or change train.slots.")
        )
    return slots


def check_groups(modules: Iterable[nn.Module], num_images: int) -> None:
    """Refuse slots that minibatch standard deviation cannot cut into its groups.

    Raises:
        ConfigError: says which numbers would do.
    """
    for size in _group_sizes(modules):
        if num_images % min(size, num_images):
            raise ConfigError(
                f"Each slot has {num_images} images (train.batch_size / train.slots), which "
                f"minibatch standard deviation cannot cut into groups of {size}. Choose a multiple "
                f"of {size}, or another group size in `model`."
            )


def _group_sizes(modules: Iterable[nn.Module]) -> list[int]:
    layers = [layer for module in modules for layer in module.modules()]
    return [m.group_size for m in layers if isinstance(m, MinibatchStdDev) and m.group_size]


def warn_of_small_slots(modules: Iterable[nn.Module], num_images: int) -> None:
    """Say where a slot has fewer images than its networks' statistics are made for.

    Args:
        modules: the networks.
        num_images: images per slot.
    """
    modules = list(modules)
    layers = [layer for module in modules for layer in module.modules()]
    groups = _group_sizes(modules)
    cure = "Lower train.slots, or raise train.batch_size, to keep what the recipe does."
    if groups and max(groups) > num_images:
        log.warning(
            "Each slot has %d images, but minibatch standard deviation is made for groups of %d: "
            "it %s. %s",
            num_images,
            max(groups),
            "is always 0" if num_images == 1 else f"takes groups of {num_images}",
            cure,
        )
    if any(isinstance(m, BatchNorm) for m in layers) and num_images < _FEW_FOR_BATCHNORM:
        log.warning("Each slot has %d images, few for BatchNorm's statistics. %s", num_images, cure)


def check_phases(
    architecture: Architecture[Any], phases: list[Phase], modules: Mapping[str, nn.Module]
) -> None:
    """Refuse phases that name unknown networks or share a name.

    Raises:
        PluginContractError: they do.
    """
    names = [phase.name for phase in phases]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise PluginContractError(
            f"Architecture '{architecture.name}' has several phases named {repeated}; a name seeds "
            f"the phase's noise and must be unique."
        )
    for phase in phases:
        unknown = [role for role in phase.trains if role not in modules]
        if unknown:
            raise PluginContractError(
                f"Phase '{phase.name}' of '{architecture.name}' trains {unknown}, but networks() "
                f"returns {sorted(modules)}."
            )


def compile_networks(
    modules: Mapping[str, nn.Module], config: PipelineConfig, runtime: Runtime
) -> dict[str, nn.Module]:
    """Compile the networks when the pipeline file, or its `auto`, says so; says why in one line."""
    wanted, reason = choose_compile(config, runtime.device, runtime.precision)
    log.info("torch.compile: %s (%s).", "on" if wanted else "off", reason)
    if not wanted:
        return {}
    # The same random numbers as eager, so that compiled and eager runs agree.
    torch._inductor.config.fallback_random = True
    torch._dynamo.config.cache_size_limit = 64
    compiled: dict[str, nn.Module] = {}
    for role, module in modules.items():
        compiled[role] = torch.compile(module, dynamic=False)  # type: ignore[assignment]
    return compiled


def choose_compile(
    config: PipelineConfig, device: torch.device, precision: str
) -> tuple[bool, str]:
    """Whether to compile, and why."""
    train = config.train
    if train.compile != "auto":
        return train.compile, f"train.compile is {str(train.compile).lower()}"
    steps = round(train.total_kimg * 1000 / train.batch_size)
    slow_to_pay = device.type == "cpu" and precision == "fp32"
    if steps < (_MIN_COMPILED_STEPS_CPU_FP32 if slow_to_pay else _MIN_COMPILED_STEPS):
        where = " in fp32 on a CPU" if slow_to_pay else ""
        return False, f"auto: {steps} steps{where} are too few to pay for it"
    if device.type == "cpu":
        compiler = os.environ.get("CXX", "g++")
        if shutil.which(compiler) is None:
            return False, f"auto: no C++ compiler ('{compiler}') on the path"
        return True, f"auto: {compiler} found, {steps} steps"
    try:
        import triton  # noqa: F401  # present or not is the question
    except ImportError:
        return False, "auto: Triton is not installed"
    return True, f"auto: Triton found, {steps} steps"
