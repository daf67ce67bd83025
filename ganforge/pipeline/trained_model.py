"""The averaged networks of a run's newest checkpoint, ready to generate."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ganforge.errors import CheckpointError
from ganforge.interfaces.architecture import Architecture
from ganforge.interfaces.spec import ImageSpec
from ganforge.interfaces.stage import RunContext
from ganforge.pipeline.session import checkpoints_dir
from ganforge.training.engine.standing_statistics import (
    check_standing_statistics,
    generating_networks,
)
from ganforge.training.layout import to_channels_last, wants_channels_last
from ganforge.training.state import checkpoint as checkpoints
from ganforge.training.state.tensors import by_role, load_networks


@dataclass(frozen=True)
class TrainedModel:
    """The averaged networks of a run."""

    architecture: Architecture[Any]
    networks: dict[str, nn.Module]
    """Averaged networks by role, with the batch statistics of `train.standing_statistics`, in
    eval mode, without gradients."""
    nimg: int


def newest_nimg(context: RunContext) -> int:
    """Progress of the newest whole checkpoint.

    Raises:
        CheckpointError: there is none.
    """
    found = checkpoints.latest(checkpoints_dir(context))
    if found is None:
        raise CheckpointError(
            f"There is no checkpoint in {checkpoints_dir(context)}. Run the train stage first."
        )
    return int(found.name.removeprefix("nimg-"))


def load_trained(context: RunContext, device: torch.device) -> TrainedModel:
    """Load the averaged networks of the newest checkpoint.

    Raises:
        CheckpointError: there is none, or it does not fit the pipeline file's model.
        ConfigError: standing statistics are configured for networks without batch statistics.
    """
    folder = checkpoints_dir(context) / checkpoints.directory_name(newest_nimg(context))
    saved = checkpoints.load(folder, files=("ema",))
    spec = ImageSpec.from_dict(saved.state["spec"])
    architecture = context.components.bound_architecture(spec)
    built = architecture.networks()
    networks = {role: built[role] for role in architecture.ema_roles}
    try:
        load_networks(networks, saved.tensors["ema"])
    except CheckpointError as err:
        raise CheckpointError(
            f"Checkpoint {folder} does not fit the model section: {err} Restore the pipeline "
            f"file that trained it; a copy is {folder / 'config.yaml'}."
        ) from err
    for network in networks.values():
        if wants_channels_last(network, context.config.train, device):
            to_channels_last(network)
        network.to(device).eval().requires_grad_(False)
    config = context.config.train.standing_statistics
    check_standing_statistics(architecture, networks, config)
    networks = generating_networks(architecture, networks, config)
    return TrainedModel(architecture, networks, int(saved.state["nimg"]))


def load_others(context: RunContext, model: TrainedModel) -> dict[str, dict[str, Tensor]]:
    """State dicts by role of the networks that do not generate, from the same checkpoint.

    Raises:
        CheckpointError: it is gone or damaged.
    """
    folder = checkpoints_dir(context) / checkpoints.directory_name(model.nimg)
    found = by_role(checkpoints.load(folder, files=("networks",)).tensors["networks"])
    return {role: state for role, state in found.items() if role not in model.networks}
