"""Layers of the fully connected GANs. Source: Goodfellow et al. 2013 (maxout), arXiv:1302.4389."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ganforge.api import GenerateRequest, ImageSpec


class Maxout(nn.Module):
    """Each unit is the maximum of several linear functions.

    Args:
        in_features: size of the input rows.
        units: size of the output rows.
        pieces: linear functions per unit.

    Source: Goodfellow et al. 2013, arXiv:1302.4389, Sec. 3.
    """

    def __init__(self, in_features: int, units: int, pieces: int) -> None:
        super().__init__()
        self.pieces = pieces
        self.linear = nn.Linear(in_features, units * pieces)

    def forward(self, x: Tensor) -> Tensor:
        """[N, in_features] -> [N, units]."""
        largest: Tensor = self.linear(x).unflatten(1, (-1, self.pieces)).max(dim=2).values
        return largest


def num_values(spec: ImageSpec) -> int:
    """Number of values in one image."""
    return spec.channels * spec.height * spec.width


def relu_stack(sizes: Sequence[int], dropout: float = 0.0) -> nn.Sequential:
    """Linear layers of these sizes, each followed by ReLU and, if `dropout` > 0, dropout."""
    layers: list[nn.Module] = []
    for before, after in zip(sizes[:-1], sizes[1:], strict=True):
        layers += [nn.Linear(before, after), nn.ReLU()]
        if dropout:
            layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers)


def uniform_latent(num: int, size: int, like: Tensor) -> Tensor:
    """Draw z [num, size] from U[-1, 1] on the device of `like`."""
    return torch.rand(num, size, device=like.device) * 2 - 1


def uniform_request_latent(request: GenerateRequest, size: int, stream: int = 0) -> Tensor:
    """Draw z [N, size] from U[-1, 1], each row from its seed."""
    return request.uniform(size, stream=stream) * 2 - 1
