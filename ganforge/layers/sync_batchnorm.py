"""Batch normalization over the joint batch of all ranks, on any backend.

torch's SyncBatchNorm refuses the CPU; this one needs only an all-reduce.

Source: Ioffe and Szegedy 2015, arXiv:1502.03167, Alg. 1, over a batch spread over ranks.
"""

from typing import Any

import torch
from torch import Tensor, distributed, nn

from ganforge.interfaces.batch import full_precision
from ganforge.layers.batchnorm import BatchNorm, join_moments, moments, normalize


class _SumOverRanks(torch.autograd.Function):
    """All-reduce (sum). Its derivative is itself, so gradients of gradients work too."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return sum_over_ranks(grads[0])


def sum_over_ranks(x: Tensor) -> Tensor:
    """The differentiable sum of `x` over all ranks, equal on each of them.

    The gradient is that of the sum of all ranks' losses. Outside a process group this is `x`.
    """
    if _world_size() == 1:
        return x
    total: Tensor = _SumOverRanks.apply(x.contiguous())
    return total


def _world_size() -> int:
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_world_size()
    return 1


def _joint_moments(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean [C] and biased variance [C] over all ranks' x [N, C, ...], and the number of values."""
    channels = x.shape[1]
    count = x.new_full((1,), x.numel() / channels)
    table = x.new_zeros(_world_size(), 2 * channels + 1)
    # Each rank fills its own row, so that the sum is a gather.
    table[distributed.get_rank()] = torch.cat([*moments(x), count])
    table = sum_over_ranks(table)
    total = table[:, -1:].sum().detach()
    means, variances, counts = table[:, :channels], table[:, channels:-1], table[:, -1:]
    return *join_moments(means, variances, counts / total), total


class SyncBatchNorm(BatchNorm):
    """Batch normalization over the batches of all ranks together.

    It has the same state as `nn.BatchNorm1d/2d/3d`, and computes the same function in evaluation
    and outside a process group.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Collectives cannot be compiled. Not a decorator: it would import torch._dynamo, which
        # takes two seconds, wherever ganforge.layers is imported.
        disable: Any = torch.compiler.disable  # torch does not type it
        self._joint_moments = disable(_joint_moments)

    def _check_input_dim(self, input: Tensor) -> None:
        """Any [N, C, ...] will do."""

    def forward(self, input: Tensor) -> Tensor:
        """[N, C, ...] -> the same shape; all ranks must call it equally often."""
        if not self.training or _world_size() == 1:
            plain: Tensor = super().forward(input)
            return plain
        with full_precision(input):
            wide = input.float()
            mean, var, count = self._joint_moments(wide)
            self._track(mean, var * count / (count - 1).clamp_min(1))
            weight, bias = (self.weight, self.bias) if self.affine else (None, None)
            return normalize(wide, mean, var, weight, bias, self.eps).to(input.dtype)

    @torch.no_grad()
    def _track(self, mean: Tensor, unbiased_var: Tensor) -> None:
        if self.running_mean is None or self.running_var is None:
            return
        factor = self.momentum
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if factor is None:
                factor = 1.0 / float(self.num_batches_tracked)
        if factor is not None:
            self.running_mean.lerp_(mean, factor)
            self.running_var.lerp_(unbiased_var, factor)


def convert_sync_batchnorm(module: nn.Module) -> nn.Module:
    """Replace every batch normalization inside `module` by a `SyncBatchNorm`, in place.

    Parameters and buffers stay. A batch normalization itself is replaced by the returned module.
    """
    if isinstance(module, BatchNorm):
        return _replacement(module)
    for name, child in module.named_children():
        setattr(module, name, convert_sync_batchnorm(child))
    return module


def _replacement(norm: BatchNorm) -> SyncBatchNorm:
    sync = SyncBatchNorm(
        norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats
    )
    sync._parameters = norm._parameters
    sync._buffers = norm._buffers
    return sync.train(norm.training)
