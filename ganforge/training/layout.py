"""The memory format of each network and of the images: channels_last where that is faster."""

from collections.abc import Iterable

import torch
from torch import nn

from ganforge.config.models import TrainConfig


def wants_channels_last(network: nn.Module, train: TrainConfig, device: torch.device) -> bool:
    """Whether to lay a network out in channels_last.

    By default all but networks with grouped convolutions on a GPU, which Inductor's authors
    (torch/_inductor/graph.py) found up to 31 times slower in this format. Depthwise convolutions,
    one channel a group, have kernels for it.
    """
    if train.channels_last != "auto":
        return train.channels_last
    return device.type == "cpu" or not any(map(_is_grouped, network.modules()))


def images_channels_last(
    networks: Iterable[nn.Module], train: TrainConfig, device: torch.device
) -> bool:
    """Whether to lay images out so: as most networks that see them."""
    wishes = [wants_channels_last(network, train, device) for network in networks]
    return 2 * sum(wishes) >= len(wishes)


def _is_grouped(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and 1 < module.groups < min(
        module.in_channels, module.out_channels
    )


@torch.no_grad()
def to_channels_last(module: nn.Module) -> None:
    """Lay the weights of 2-D convolutions out as channels_last; others stay as they are.

    `module.to(memory_format=...)` refuses modules with 3-D convolutions.
    """
    for parameter in module.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
