"""Self-attention over the positions of a feature map."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganforge.errors import ShapeError
from ganforge.interfaces.batch import full_precision
from ganforge.layers.spectral import spectral_norm


class SelfAttention(nn.Module):
    """Self-attention block for a multiple of 8 channels, the identity at initialization.

    Keys and values are max-pooled 2x2, which quarters the memory. The attention is computed step by
    step, because fused kernels have no second derivative, which gradient penalties need.

    With `spectral`, the four 1x1 convolutions have spectral normalization.

    Source: Zhang et al. 2019, arXiv:1805.08318, Sec. 3; the pooling is that of Brock et al. 2019,
    arXiv:1809.11096.
    """

    def __init__(self, channels: int, *, spectral: bool = False) -> None:
        super().__init__()
        if channels % 8:
            raise ShapeError(
                f"Self-attention over {channels} channels: queries have an eighth of them. "
                f"Put it where the channels are a multiple of 8."
            )
        wrap = spectral_norm if spectral else nn.Identity()
        self.query = wrap(nn.Conv2d(channels, channels // 8, 1, bias=False))
        self.key = wrap(nn.Conv2d(channels, channels // 8, 1, bias=False))
        self.value = wrap(nn.Conv2d(channels, channels // 2, 1, bias=False))
        self.out = wrap(nn.Conv2d(channels // 2, channels, 1, bias=False))
        self.gain = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as `x`, [N, C, H, W]."""
        query = self.query(x).flatten(2)
        key = functional.max_pool2d(self.key(x), 2).flatten(2)
        value = functional.max_pool2d(self.value(x), 2).flatten(2)
        with full_precision(x):
            scores = query.float().transpose(1, 2) @ key.float()
            weights = scores.softmax(dim=-1)
        read = value @ weights.to(value.dtype).transpose(1, 2)
        update: Tensor = self.out(read.reshape(x.shape[0], -1, *x.shape[2:]))
        return x + self.gain.to(update.dtype) * update
