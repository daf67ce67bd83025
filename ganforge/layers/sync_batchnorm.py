"""Batch normalisation over the joint batch of all ranks, on any backend.

torch's SyncBatchNorm refuses the CPU; this one needs only an all-reduce.

Source: Ioffe and Szegedy 2015, arXiv:1502.03167, Alg. 1, with the batch spread over ranks.
"""

from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ganforge.interfaces.batch import full_precision


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
    """The sum of `x` over all ranks, on each of them, with gradient.

    Each rank has its own loss; the gradient is that of the sum of all ranks' losses. Outside a
    process group it is `x` itself.
    """
    if _world_size() == 1:
        return x
    total: Tensor = _SumOverRanks.apply(x.contiguous())
    return total


def _world_size() -> int:
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_world_size()
    return 1


@torch.compiler.disable  # type: ignore[untyped-decorator]  # torch types it so
def _joint_moments(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean [C], biased variance [C] and count of all ranks' values, from [N, C, ...] float32."""
    channels, dims = x.shape[1], [0, *range(2, x.dim())]
    var, mean = torch.var_mean(x, dim=dims, unbiased=False)
    count = x.new_full((1,), x.numel() / channels)
    table = x.new_zeros(_world_size(), 2 * channels + 1)
    # Each rank fills its own row, so that the sum is a gather: means can then be subtracted
    # before squaring, where sums of squares would cancel.
    table[distributed.get_rank()] = torch.cat([mean, var, count])
    table = sum_over_ranks(table)
    means, variances, counts = table[:, :channels], table[:, channels:-1], table[:, -1:]
    total = counts.sum()
    share = counts / total
    joint = (share * means).sum(dim=0)
    spread = variances + (means - joint).square()
    return joint, (share * spread).sum(dim=0), total.detach()


class SyncBatchNorm(_BatchNorm):
    """Batch normalisation whose batch is that of all ranks together.

    Same state as the `nn.BatchNorm1d/2d/3d` it stands for; without a process group, and in
    evaluation, it is the same function.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        """Any [N, C, ...] will do."""

    def forward(self, input: Tensor) -> Tensor:
        """[N, C, ...] -> the same shape; each rank must call it equally often."""
        if not self.training or _world_size() == 1:
            plain: Tensor = super().forward(input)
            return plain
        with full_precision(input):
            wide = input.float()
            mean, var, count = _joint_moments(wide)
            self._track(mean.detach(), var.detach() * count / (count - 1).clamp_min(1))
            shape = (1, -1) + (1,) * (input.dim() - 2)
            scale = torch.rsqrt(var + self.eps)
            if self.affine:
                scale = scale * self.weight
            normal = (wide - mean.reshape(shape)) * scale.reshape(shape)
            if self.affine:
                normal = normal + self.bias.reshape(shape)
            result: Tensor = normal.to(input.dtype)
            return result

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
    """Replace every `nn.BatchNorm1d/2d/3d` inside `module` by a `SyncBatchNorm`, in place.

    Parameters and buffers are carried over, the same objects under the same names.

    Returns:
        `module`, or its replacement if it is itself a batch normalisation.
    """
    if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
        return _replacement(module)
    for name, child in module.named_children():
        setattr(module, name, convert_sync_batchnorm(child))
    return module


def _replacement(norm: _BatchNorm) -> SyncBatchNorm:
    sync = SyncBatchNorm(
        norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats
    )
    sync._parameters = norm._parameters
    sync._buffers = norm._buffers
    return sync.train(norm.training)
