"""Builds the networks of a published model from an installed plugin, and loads its weights."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from packaging.version import InvalidVersion, Version
from torch import nn

from ganforge.errors import CheckpointError, PluginError, PluginNotFound, PublishError
from ganforge.hub.format import WEIGHTS_FILE, ModelInfo
from ganforge.interfaces.architecture import Architecture
from ganforge.registry.plugins import Plugin, get_registry
from ganforge.training.state.tensors import check_shapes, load_networks

_logger = logging.getLogger(__name__)


def build_architecture(info: ModelInfo, source: str) -> Architecture[Any]:
    """Build the architecture that `config.json` names, from an installed plugin.

    `source` names the model in messages.

    Raises:
        PluginNotFound: no installed plugin provides it; names the package to install.
        PluginError: the installed package is too old.
        ConfigError: the installed architecture has no such option.
    """
    registry = get_registry()
    try:
        architecture = registry.find(Architecture, info.architecture)
    except PluginNotFound as err:
        raise PluginNotFound(
            f"{source} needs the architecture '{info.architecture}', which no installed plugin "
            f"provides. It comes with the package '{info.plugin.distribution}' "
            f"(exported with version {info.plugin.version}): if you trust that package, "
            f"pip install {info.plugin.distribution}"
        ) from err
    _check_version(info, registry.plugin_of(architecture), source)
    component, options = registry.configure(
        Architecture, info.architecture, info.options, f"{source}, config.json: options"
    )
    return component(options, info.spec)


def _check_version(info: ModelInfo, installed: Plugin, source: str) -> None:
    """Refuse an older major version; warn of an older minor version or another package.

    A newer package should read older models; names and shapes of the weights are always checked.
    """
    wanted = info.plugin
    if installed.distribution != wanted.distribution:
        # No error: a plugin may move to another package.
        _logger.warning(
            "%s was exported with '%s' from the package %s; here %s provides it. If the images "
            "look wrong, install %s instead.",
            *(source, info.architecture, wanted.distribution),
            *(installed.distribution, wanted.distribution),
        )
        return
    try:
        have, need = Version(installed.version), Version(wanted.version)
    except InvalidVersion:
        return
    advice = f"pip install --upgrade '{wanted.distribution}>={wanted.version}'"
    if have.major < need.major:
        raise PluginError(
            f"{source} was exported with {wanted.distribution} {wanted.version}; installed is "
            f"{installed.version}, which is too old for it: {advice}"
        )
    if have < need:
        _logger.warning(
            "%s was exported with %s %s; installed is %s. If it does not load or looks wrong: %s",
            *(source, wanted.distribution, wanted.version, installed.version, advice),
        )


def build_networks(
    architecture: Architecture[Any], info: ModelInfo, weights: Path, source: str
) -> dict[str, nn.Module]:
    """Build the networks that generate, with the published weights.

    Raises:
        PublishError: the roles are not the architecture's, or names or shapes of the weights are
            not those of the networks.
    """
    if sorted(info.roles) != sorted(architecture.ema_roles):
        raise PublishError(
            f"config.json of {source} is not valid at 'roles': {', '.join(info.roles) or 'none'}; "
            f"'{info.architecture}' generates with {', '.join(architecture.ema_roles)}. Export "
            f"or download the model again."
        )
    try:
        meta = architecture.meta_networks()
        check_shapes({role: meta[role] for role in architecture.ema_roles}, weights)
        _check_memory(meta, source)
        # Initialization draws random numbers; loading must not change the caller's random state.
        with torch.random.fork_rng(devices=[]):
            built = architecture.networks()
        networks = {role: built[role] for role in architecture.ema_roles}
        load_networks(networks, safetensors.torch.load_file(weights))
    except safetensors.SafetensorError as err:
        raise PublishError(
            f"{WEIGHTS_FILE} of {source} cannot be read ({err}). Export or download it again."
        ) from err
    except CheckpointError as err:
        raise PublishError(
            f"{WEIGHTS_FILE} of {source} does not fit the networks of '{info.architecture}': {err} "
            f"Install the version it was exported with: "
            f"pip install '{info.plugin.distribution}=={info.plugin.version}'"
        ) from err
    return networks


def _check_memory(meta: Mapping[str, nn.Module], source: str) -> None:
    """Refuse networks that this machine cannot hold, those beside the published ones too."""
    tensors = [t for network in meta.values() for t in (*network.parameters(), *network.buffers())]
    needed, there = sum(t.nbytes for t in tensors), physical_memory()
    if there and needed > there:
        raise PublishError(
            f"The networks that config.json of {source} describes would take {needed / 1e9:,.0f} "
            f"GB; this machine has {there / 1e9:,.0f} GB of memory. Load it on a larger machine, "
            f"or check the name."
        )


def physical_memory() -> int:
    """Bytes of memory of this machine; 0 where that is not known."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0
