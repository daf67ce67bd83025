"""Writes the export folder: what `from_pretrained` reads and `push_folder` uploads."""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
from PIL import Image
from torch import Tensor, nn

import ganforge
from ganforge.errors import PublishError
from ganforge.hub.card import CardInfo, write_card
from ganforge.hub.format import (
    CONFIG_FILE,
    DISCRIMINATOR_FILE,
    SAMPLES_FILE,
    WEIGHTS_FILE,
    ModelInfo,
    OtherNetworks,
    PluginOrigin,
    conditioning,
    write_info,
)
from ganforge.imaging.save import write_png
from ganforge.interfaces.architecture import Architecture
from ganforge.io.atomic import atomic_folder
from ganforge.io.hashing import file_sha256
from ganforge.registry.plugins import get_registry
from ganforge.training.state.tensors import flatten, storable


def export_model(
    folder: Path,
    *,
    architecture: Architecture[Any],
    networks: Mapping[str, nn.Module],
    nimg: int,
    card: CardInfo,
    metrics: Sequence[Mapping[str, Any]] = (),
    samples: Image.Image | None = None,
    others: Mapping[str, Mapping[str, Tensor]] | None = None,
) -> Path:
    """Write a complete export folder; an earlier one at the same place is replaced at once.

    Args:
        folder: where it goes; returned.
        architecture: what the networks belong to; provided by an installed plugin.
        networks: the averaged (EMA) networks, at least the architecture's `ema_roles`.
        nimg: real images shown in training.
        card: further content of the model card.
        metrics: records with `name`, `value` and their provenance.
        samples: a grid of samples.
        others: state dicts of the other networks by role, for those who train on from this model.

    Raises:
        PublishError: a network or a metric's field is missing, or `folder` holds other things.
    """
    folder = Path(folder)
    _check_complete(architecture, networks, metrics)
    check = functools.partial(_check_replaceable, folder)
    check()
    with atomic_folder(folder, replace=True, check=check) as partial:
        states = {role: networks[role].state_dict() for role in architecture.ema_roles}
        sha256 = _save_weights(partial / WEIGHTS_FILE, states)
        info = _describe(architecture, networks, nimg, metrics, sha256)
        if others:
            sha256 = _save_weights(partial / DISCRIMINATOR_FILE, others)
            described = OtherNetworks(roles=tuple(others), sha256=sha256)
            info = info.model_copy(update={"discriminator": described})
        write_info(partial, info)
        if samples is not None:
            write_png(partial / SAMPLES_FILE, samples)
        write_card(partial, info, card, has_samples=samples is not None)
    return folder


def _save_weights(path: Path, states: Mapping[str, Mapping[str, Tensor]]) -> str:
    """Write state dicts by role to one file; returns its sha256."""
    path.touch()  # safetensors would make a file that only its owner can read
    mode = path.stat().st_mode
    safetensors.torch.save_file(storable(flatten(states)), path)
    path.chmod(mode)
    return file_sha256(path)


def _check_complete(
    architecture: Architecture[Any],
    networks: Mapping[str, nn.Module],
    metrics: Sequence[Mapping[str, Any]],
) -> None:
    missing = [role for role in architecture.ema_roles if role not in networks]
    if missing:
        raise PublishError(
            f"'{architecture.name}' generates with {', '.join(architecture.ema_roles)}, but "
            f"{', '.join(missing)} is not among the networks to export "
            f"({', '.join(sorted(networks)) or 'none'}). Pass all of its `ema_roles`."
        )
    for index, record in enumerate(metrics):
        if "name" not in record or "value" not in record:
            raise PublishError(
                f"metrics[{index}] has the fields {sorted(record)}; a metric needs `name` and "
                f"`value`."
            )


def _check_replaceable(folder: Path) -> None:
    if not folder.exists() or (folder / CONFIG_FILE).is_file():
        return
    if not folder.is_dir() or any(folder.iterdir()):
        raise PublishError(
            f"{folder} exists and is not an export folder, so it is left alone. "
            f"Choose another folder, or remove it."
        )


def _describe(
    architecture: Architecture[Any],
    networks: Mapping[str, nn.Module],
    nimg: int,
    metrics: Sequence[Mapping[str, Any]],
    sha256: str,
) -> ModelInfo:
    plugin = get_registry().plugin_of(type(architecture))
    parameter = next(networks[architecture.ema_roles[0]].parameters(), None)
    return ModelInfo(
        ganforge_version=ganforge.__version__,
        architecture=architecture.name,
        paper=getattr(architecture, "paper", ""),
        options=architecture.config.model_dump(mode="json"),
        plugin=PluginOrigin(distribution=plugin.distribution, version=plugin.version),
        image_spec=architecture.spec,
        conditioning=conditioning(architecture),
        directions=architecture.directions,
        roles=architecture.ema_roles,
        nimg=nimg,
        metrics=tuple(dict(record) for record in metrics),
        dtype="float32" if parameter is None else str(parameter.dtype).removeprefix("torch."),
        weights_sha256=sha256,
    )
