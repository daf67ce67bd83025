"""Layers that compare the samples of a batch, against mode collapse.

The batch is that of one slot: statistics never cross slots or ranks.
"""

import torch
from torch import Tensor, nn

from ganforge.errors import ShapeError
from ganforge.interfaces.batch import full_precision


class MinibatchStdDev(nn.Module):
    """Append the standard deviation within groups of samples as constant feature maps.

    Args:
        group_size: samples per group. A smaller batch is one group; None makes every batch one.
        num_channels: maps to append; each is the deviation of an equal part of the features.

    Source: Karras et al. 2018, arXiv:1710.10196, Sec. 3.
    """

    def __init__(self, group_size: int | None = 4, num_channels: int = 1) -> None:
        super().__init__()
        self.group_size, self.num_channels = group_size, num_channels

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C + num_channels, H, W]; a ShapeError where that does not divide."""
        num, channels, height, width = x.shape
        group = num if self.group_size is None else min(self.group_size, num)
        parts = self.num_channels
        if num % group:
            raise ShapeError(
                f"Minibatch standard deviation cannot cut a batch of {num} into groups of {group}. "
                f"Give each slot a multiple of {group} images (train.batch_size / train.slots), "
                f"or set a group size that divides {num}."
            )
        if channels % parts:
            raise ShapeError(
                f"Minibatch standard deviation cannot split {channels} features into "
                f"num_channels={parts} equal parts. Use a divisor of {channels}, such as 1."
            )
        with full_precision(x):
            grouped = x.float().reshape(group, num // group, parts, channels // parts, -1)
            deviation = (grouped.var(dim=0, unbiased=False) + 1e-8).sqrt().mean(dim=(2, 3))
        maps = deviation.to(x.dtype).repeat(group, 1)[:, :, None, None]
        joined = torch.cat([x, maps.expand(num, parts, height, width)], dim=1)
        # `cat` forgets channels_last when one input is expanded.
        last = x.is_contiguous(memory_format=torch.channels_last)
        return joined.contiguous(memory_format=torch.channels_last) if last else joined


class MinibatchDiscrimination(nn.Module):
    """Append, for each sample, its closeness to the other samples of the batch.

    The closeness of a sample to itself is included: a constant 1, which the next bias absorbs.

    Args:
        in_features: A, size of the feature rows.
        num_kernels: B, features to append.
        kernel_dim: C, size of the space in which each of them measures distances.

    Source: Salimans et al. 2016, arXiv:1606.03498, Sec. 3.2.
    """

    def __init__(self, in_features: int, num_kernels: int = 100, kernel_dim: int = 5) -> None:
        super().__init__()
        self.num_kernels, self.kernel_dim = num_kernels, kernel_dim
        self.weight = nn.Parameter(torch.randn(in_features, num_kernels * kernel_dim) * 0.05)

    def forward(self, x: Tensor) -> Tensor:
        """[N, A] -> [N, A + B]."""
        with full_precision(x):
            rows = (x.float() @ self.weight).reshape(-1, self.num_kernels, self.kernel_dim)
            distance = (rows[:, None] - rows[None]).abs().sum(dim=3)
            closeness = torch.exp(-distance).sum(dim=1)
        return torch.cat([x, closeness.to(x.dtype)], dim=1)
