"""Reads the networks of a published model as tensors, without building or running anything."""

import safetensors
import safetensors.torch
from torch import Tensor

from ganforge.errors import PublishError
from ganforge.hub.pull import Location, fetch_info, fetch_weights
from ganforge.training.state.tensors import by_role
from ganforge.training.state.warm_start import TrainedNetworks


def fetch_networks(location: Location) -> TrainedNetworks:
    """The networks of an export folder or a repository: those that generate, and all others.

    Raises:
        PublishError: there is no such model, or it cannot be reached, read or trusted.
    """
    source = location.path_or_repo
    folder, info = fetch_info(location)
    tensors: dict[str, dict[str, Tensor]] = {}
    for path in fetch_weights(location, folder, info, discriminator=True):
        try:
            tensors |= by_role(safetensors.torch.load_file(path))
        except safetensors.SafetensorError as err:
            raise PublishError(
                f"{path.name} of {source} cannot be read ({err}). Export or download it again."
            ) from err
    return TrainedNetworks(
        name=source if location.is_folder else f"{source} at {folder.name[:12]}",
        architecture=info.architecture,
        options=info.options,
        image_spec=info.spec.to_dict(),
        nimg=info.nimg,
        tensors=tensors,
    )
