"""Warm start: the networks of a new run begin with the weights of trained ones.

Only weights are taken over: progress, optimizers and adaptive augmentation start anew. A tensor of
the same name and shape is copied; the others keep their fresh initialization.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydantic
import yaml
from torch import Tensor, nn

from ganforge.config.init import InitConfig
from ganforge.errors import ConfigError, suggest
from ganforge.interfaces.architecture import Architecture
from ganforge.training.state import checkpoint as checkpoints
from ganforge.training.state.run_state import TrainingRun
from ganforge.training.state.tensors import Comparison, by_role, compare, copy_matching

log = logging.getLogger(__name__)
_MAX_NAMES = 6


@dataclass(frozen=True)
class TrainedNetworks:
    """Weights to start from, and what they were trained as.

    Attributes:
        name: where they are, for messages.
        architecture: its registered name.
        options: the architecture's options.
        image_spec: the `ImageSpec`, as a mapping.
        nimg: real images shown in training.
        tensors: parameters and buffers by role and name.
    """

    name: str
    architecture: str
    options: Mapping[str, Any]
    image_spec: Mapping[str, Any]
    nimg: int
    tensors: Mapping[str, Mapping[str, Tensor]]


def read_checkpoint(folder: Path) -> TrainedNetworks:
    """The networks of a checkpoint: averaged weights where it has them, else live ones.

    Raises:
        CheckpointError: it is damaged, or of a newer format.
    """
    saved = checkpoints.load(folder, files=("networks", "ema"))
    # Read as plain YAML: other sections may have changed since this ganforge wrote them.
    options = dict(yaml.safe_load(saved.config)["model"])
    return TrainedNetworks(
        name=str(folder),
        architecture=options.pop("architecture"),
        options=options,
        image_spec=saved.state["spec"],
        nimg=int(saved.state["nimg"]),
        tensors=by_role(saved.tensors["networks"]) | by_role(saved.tensors["ema"]),
    )


@dataclass(frozen=True)
class RoleMatch:
    """How the network of a role fits the network of the source that it starts from."""

    role: str
    source_role: str
    network: nn.Module
    comparison: Comparison


def match_roles(
    init: InitConfig,
    source: TrainedNetworks,
    networks: Mapping[str, nn.Module],
    *,
    check_shapes: bool = True,
) -> list[RoleMatch]:
    """Compare each network that is to be initialized with its source; networks may be on meta.

    `check_shapes` is false where the shapes of `networks` are not yet certain.

    Raises:
        ConfigError: the source lacks a role, or nothing of a network matches.
    """
    matches = []
    for role, source_role in _choose_roles(init, source, networks).items():
        network = networks[role]
        comparison = compare(network.state_dict(), source.tensors[source_role])
        match = RoleMatch(role, source_role, network, comparison)
        usable = {*comparison.matching, *([] if check_shapes else comparison.reshaped)}
        wanted = {name for name, _ in network.named_parameters()} or usable
        if not usable & wanted:
            raise ConfigError(_no_match(match, source))
        matches.append(match)
    return matches


def check_source_roles(init: InitConfig, source: TrainedNetworks) -> None:
    """Refuse `init.roles` that name networks which the source does not have.

    Raises:
        ConfigError: near names are listed.
    """
    for role in init.roles.values():
        if role not in source.tensors:
            raise ConfigError(
                f"init.roles: {source.name} has no network '{role}'. "
                f"{suggest(role, source.tensors)}"
            )


def _choose_roles(
    init: InitConfig, source: TrainedNetworks, networks: Mapping[str, nn.Module]
) -> dict[str, str]:
    check_source_roles(init, source)
    roles = init.roles or {role: role for role in networks if role in source.tensors}
    if not roles:
        raise ConfigError(
            f"init.from: {source.name} has the networks {', '.join(sorted(source.tensors))}; this "
            f"run has {', '.join(sorted(networks))}. Say which start from which, e.g. "
            f"init.roles={{{next(iter(networks))}: {next(iter(source.tensors), 'NAME')}}}."
        )
    return roles


def _no_match(match: RoleMatch, source: TrainedNetworks) -> str:
    found = match.comparison
    fault = "; ".join(_reshaped(found)[:2])
    if not fault:
        names = [", ".join(names[:2]) for names in (found.missing, found.unused)]
        fault = f"this run has {names[0]}, the source has {names[1]}"
    return (
        f"init.from: nothing in '{match.source_role}' of {source.name} fits '{match.role}' of this "
        f"run: {fault}. Use the architecture, options and image size of the source "
        f"({_description(source)}), or name other networks in init.roles."
    )


def _description(source: TrainedNetworks) -> str:
    size = f"{source.image_spec['height']}x{source.image_spec['width']}"
    options = ", ".join(f"{name}: {value}" for name, value in source.options.items())
    return f"{source.architecture}, {size}; {options or 'default options'}"


def start_from(run: TrainingRun, source: TrainedNetworks) -> None:
    """Copy what matches into the networks of a fresh run and into their averages; log a report.

    Raises:
        ConfigError: as `match_roles`.
    """
    networks = run.nets.modules()
    matches = match_roles(run.config.init, source, networks)
    for match in matches:
        live, saved = match.network.state_dict(), source.tensors[match.source_role]
        copy_matching(live, saved, match.comparison.matching)
    run.ema.restart()
    lines = [f"init: starts from {source.name} ({source.nimg / 1000:g} kimg)."]
    lines += [line for match in matches for line in _report(match)]
    if run.config.init.freeze:
        lines.append(f"Frozen: {', '.join(run.config.init.freeze)}.")
    fresh = sorted(networks.keys() - {match.role for match in matches})
    if fresh:
        lines.append(f"Fresh networks: {', '.join(fresh)}.")
    log.info("\n  ".join(lines))
    _warn_of_frozen_fresh(run, matches)
    differing = _differences(run.architecture, source)
    if differing:
        log.info("init: this run differs from its source in %s.", "; ".join(differing))


def _warn_of_frozen_fresh(run: TrainingRun, matches: Sequence[RoleMatch]) -> None:
    """Say which parameters will stay at their random initial values."""
    copied = {f"{match.role}.{name}" for match in matches for name in match.comparison.matching}
    stuck = [
        f"{role}.{name}"
        for role, network in run.nets.modules().items()
        for name, parameter in network.named_parameters()
        if parameter in run.frozen and f"{role}.{name}" not in copied
    ]
    if stuck:
        log.warning(
            "init.freeze keeps %d parameter tensors at their random initial values, because they "
            "were not copied: %s. Freeze only what the source has in the same shape.",
            len(stuck),
            ", ".join(stuck[:_MAX_NAMES]),
        )


def _report(match: RoleMatch) -> Iterator[str]:
    found, parameters = match.comparison, dict(match.network.named_parameters())
    num_tensors = len(found.matching) + len(found.reshaped) + len(found.missing)
    copied = sum(parameters[name].numel() for name in found.matching if name in parameters)
    total = sum(parameter.numel() for parameter in parameters.values())
    yield (
        f"{match.role} <- {match.source_role}: {len(found.matching)} of {num_tensors} tensors "
        f"copied ({copied:,} of {total:,} parameters)."
    )
    for label, names in (
        ("changed shape, fresh", _reshaped(found)),
        ("not in the source, fresh", found.missing),
        ("not used", found.unused),
    ):
        if names:
            more = f", and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
            yield f"  {label}: {', '.join(names[:_MAX_NAMES])}{more}"


def _reshaped(found: Comparison) -> Sequence[str]:
    return [f"{name} {list(old)} -> {list(new)}" for name, (old, new) in found.reshaped.items()]


def _differences(architecture: Architecture[Any], source: TrainedNetworks) -> list[str]:
    """Options and image properties that differ from the source: "model.width 8 -> 16"."""
    if source.architecture != architecture.name:
        return [f"architecture {source.architecture} -> {architecture.name}"]
    try:
        filled = type(architecture).Config.model_validate(source.options)
        before = filled.model_dump(mode="json")
    except pydantic.ValidationError:  # of another version of the plugin
        before = dict(source.options)
    now = architecture.config.model_dump(mode="json")
    return [
        f"{prefix}{name} {_shown(old.get(name))} -> {_shown(new.get(name))}"
        for prefix, old, new in (
            ("model.", before, now),
            ("image ", source.image_spec, architecture.spec.to_dict()),
        )
        for name in {**old, **new}
        if old.get(name) != new.get(name)
    ]


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 80 else text[:77] + "..."
