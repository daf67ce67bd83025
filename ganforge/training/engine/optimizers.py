"""Optimizers: one for each group of networks that are trained together."""

import inspect
from collections.abc import Mapping, Sequence

import torch
from torch import nn

from ganforge.config.models import OptimizerConfig, TrainConfig
from ganforge.config.schedules import Schedule, value_at
from ganforge.errors import ConfigError, suggest
from ganforge.interfaces.architecture import Architecture, Phase
from ganforge.interfaces.component import ConfigT
from ganforge.training.engine.freeze import Frozen

Group = tuple[str, ...]
"""Roles that share an optimizer, in the order in which a phase names them."""


def build_optimizers(
    architecture: Architecture[ConfigT],
    phases: Sequence[Phase],
    networks: Mapping[str, nn.Module],
    config: TrainConfig,
    frozen: Frozen | None = None,
) -> dict[Group, torch.optim.Optimizer]:
    """Build one optimizer for each distinct `Phase.trains`, without frozen parameters.

    Raises:
        ConfigError: `train.optimizers` names a role that no phase trains.
    """
    groups: dict[Group, list[Phase]] = {}
    for phase in phases:
        groups.setdefault(phase.trains, []).append(phase)
    known = {role for group in groups for role in group}
    for role in config.optimizers:
        if role not in known:
            raise ConfigError(
                f"train.optimizers: no network '{role}' is trained by "
                f"'{architecture.name}'. {suggest(role, known)}"
            )
    optimizers = {}
    for group, members in groups.items():
        chosen = optimizer_config(architecture, group, config)
        parameters = trainable_parameters(networks, group, frozen)
        if parameters or not frozen:
            optimizers[group] = build_optimizer(
                scale_for_lazy(chosen, members), list(parameters.values())
            )
    return optimizers


def trainable_parameters(
    networks: Mapping[str, nn.Module], group: Group, frozen: Frozen | None = None
) -> dict[str, nn.Parameter]:
    """The parameters of some networks by role.name, without the frozen ones."""
    return {
        name: parameter
        for role in group
        for name, parameter in networks[role].named_parameters(prefix=role)
        if frozen is None or parameter not in frozen
    }


def optimizer_config(
    architecture: Architecture[ConfigT], group: Group, config: TrainConfig
) -> OptimizerConfig:
    """The optimizer of the architecture with the overrides of the pipeline file.

    Overrides of a role win over those for all roles.
    """
    own = [architecture.optimizers.get(role) for role in group]
    override = [config.optimizers.get(role) for role in group]
    return architecture.optimizer.override(*own, config.optimizer, *override)


def scale_for_lazy(config: OptimizerConfig, phases: Sequence[Phase]) -> OptimizerConfig:
    """Scale learning rate and betas for lazy regularization.

    An optimizer that also updates for a penalty every k steps makes (k + 1) / k updates per step.
    Scaling by c = k / (k + 1) keeps the time scale.
    Source: Karras et al. 2020, arXiv:1912.04958, app. B.
    """
    main = min(phase.every for phase in phases if not phase.lazy)
    for phase in (phase for phase in phases if phase.lazy):
        interval = phase.every / main
        c = interval / (interval + 1)
        config = config.model_copy(
            update={
                "lr": config.lr * c,
                "betas": tuple(
                    beta.to_power(c) if isinstance(beta, Schedule) else beta**c
                    for beta in config.betas
                ),
            }
        )
    return config


def build_optimizer(
    config: OptimizerConfig, parameters: list[nn.Parameter]
) -> torch.optim.Optimizer:
    """Build the optimizer with torch's fastest implementation of it."""
    classes: dict[str, type[torch.optim.Optimizer]] = {
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "rmsprop": torch.optim.RMSprop,
        "sgd": torch.optim.SGD,
    }
    chosen = classes[config.name]
    accepted = inspect.signature(chosen).parameters
    values = {name: getattr(config, name) for name in OptimizerConfig.model_fields}
    values["betas"] = tuple(value_at(beta, 0) for beta in config.betas)
    options = {name: value for name, value in values.items() if name in accepted}
    options["fused" if "fused" in accepted else "foreach"] = True
    optimizer = chosen(parameters, **options)
    if "betas" in accepted:
        for group in optimizer.param_groups:
            group["scheduled_betas"] = config.betas
    return optimizer


def set_progress(optimizer: torch.optim.Optimizer, lr_factor: float, nimg: int) -> None:
    """Set learning rate and betas for this point of the run: pure functions of progress.

    `lr_factor` multiplies the learning rate that the optimizer was built with.
    """
    for group in optimizer.param_groups:
        group["lr"] = group.setdefault("initial_lr", group["lr"]) * lr_factor
        if "scheduled_betas" in group:
            group["betas"] = tuple(value_at(beta, nimg) for beta in group["scheduled_betas"])
