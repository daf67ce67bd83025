"""Optimizers: one for each group of networks that a phase trains together."""

import inspect
from collections.abc import Mapping, Sequence

import torch
from torch import nn

from ganforge.components import Architecture, ConfigT, Phase
from ganforge.config import OptimizerConfig, TrainConfig
from ganforge.errors import ConfigError, suggest

Group = tuple[str, ...]
"""Roles that share an optimizer, in the order a phase names them."""


def build_optimizers(
    architecture: Architecture[ConfigT],
    phases: Sequence[Phase],
    networks: Mapping[str, nn.Module],
    config: TrainConfig,
) -> dict[Group, torch.optim.Optimizer]:
    """Build one optimizer for each distinct `Phase.trains`.

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
        optimizers[group] = build_optimizer(
            scale_for_lazy(chosen, members),
            [parameter for role in group for parameter in networks[role].parameters()],
        )
    return optimizers


def optimizer_config(
    architecture: Architecture[ConfigT], group: Group, config: TrainConfig
) -> OptimizerConfig:
    """The paper's optimizer with the pipeline file's changes; a role's own fields win."""
    own = [architecture.optimizers.get(role) for role in group]
    override = [config.optimizers.get(role) for role in group]
    return architecture.optimizer.override(*own, config.optimizer, *override)


def scale_for_lazy(config: OptimizerConfig, phases: Sequence[Phase]) -> OptimizerConfig:
    """Scale learning rate and betas for lazy regularization.

    An optimizer that also steps for a penalty each k-th step makes (k + 1) / k updates per step;
    c = k / (k + 1) keeps the time scale. Source: Karras et al. 2020, arXiv:1912.04958, app. B.
    """
    main = min(phase.every for phase in phases if not phase.lazy)
    for phase in (phase for phase in phases if phase.lazy):
        interval = phase.every / main
        c = interval / (interval + 1)
        config = config.model_copy(
            update={
                "lr": config.lr * c,
                "betas": (config.betas[0] ** c, config.betas[1] ** c),
            }
        )
    return config


def build_optimizer(
    config: OptimizerConfig, parameters: list[nn.Parameter]
) -> torch.optim.Optimizer:
    """Build the optimizer in its fastest form for the parameters' device."""
    classes: dict[str, type[torch.optim.Optimizer]] = {
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "rmsprop": torch.optim.RMSprop,
        "sgd": torch.optim.SGD,
    }
    chosen = classes[config.name]
    accepted = inspect.signature(chosen).parameters
    options = {k: v for k, v in config.model_dump(exclude={"name"}).items() if k in accepted}
    options["fused" if "fused" in accepted else "foreach"] = True
    return chosen(parameters, **options)


def set_lr(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set the learning rate to `factor` times the one it was built with."""
    for group in optimizer.param_groups:
        group.setdefault("initial_lr", group["lr"])
        group["lr"] = group["initial_lr"] * factor
