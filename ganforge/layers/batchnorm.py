"""The arithmetic of batch normalization, for every place that computes or joins batch moments.

Source: Ioffe and Szegedy 2015, arXiv:1502.03167, Alg. 1; groups are joined as by Chan, Golub and
LeVeque 1979, STAN-CS-79-773.
"""

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

BatchNorm = _BatchNorm
"""The base class of every batch normalization: torch's, of any dimension, and `SyncBatchNorm`."""


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean [C] and biased variance [C] over all but the channels of x [N, C, ...]."""
    var, mean = torch.var_mean(x, dim=[0, *range(2, x.dim())], correction=0)
    return mean, var


def join_moments(means: Tensor, variances: Tensor, shares: Tensor | float) -> tuple[Tensor, Tensor]:
    """Mean [C] and biased variance [C] of G groups together, from those of each, [G, C].

    Shares are those in all values, [G, 1], or 1 / G for equal groups. Means are subtracted before
    squaring, where sums of squares would cancel.
    """
    mean = (shares * means).sum(dim=0)
    return mean, (shares * (variances + (means - mean).square())).sum(dim=0)


def unbias(count: float) -> float:
    """The factor that makes a biased variance of `count` values unbiased; 1 for a single value."""
    return count / max(count - 1, 1)


def normalize(
    x: Tensor, mean: Tensor, var: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias, for x [N, C, ...] and the rest [C].

    Gain and offset are expanded to each image, so that their gradients are summed over an image,
    which fits into the cache, before they are summed over the batch.
    """
    scale = torch.rsqrt(var + eps)
    if weight is not None:
        scale = scale * weight
    shift = -mean * scale if bias is None else bias - mean * scale
    rest = (1,) * (x.dim() - 2)
    shift, scale = (t.expand(len(x), -1).reshape(*x.shape[:2], *rest) for t in (shift, scale))
    return torch.addcmul(shift, x, scale)
