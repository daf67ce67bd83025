"""Layers with equalized learning rate: N(0, 1) weights, scaled in the forward pass.

Adam moves every parameter by about the learning rate, whatever its scale. With all weights stored
at unit scale, all layers learn at the same speed.

Source: Karras et al. 2018, arXiv:1710.10196, Sec. 4.1.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganforge.layers.resample import BINOMIAL_TAPS, ConvResampler, ResampleMode


class EqualizedLinear(nn.Module):
    """Fully connected layer; `lr_mult` is a factor on the learning rate of weight and bias."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        bias: bool = True,
        bias_init: float = 0.0,
        lr_mult: float = 1.0,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / lr_mult)
        self.bias = nn.Parameter(torch.full((out_features,), bias_init / lr_mult)) if bias else None
        self.weight_gain = lr_mult / math.sqrt(in_features)
        self.lr_mult = lr_mult

    def forward(self, x: Tensor) -> Tensor:
        """[N, in_features] -> [N, out_features]."""
        bias = None if self.bias is None else self.bias * self.lr_mult
        return functional.linear(x, self.weight * self.weight_gain, bias)


class EqualizedConv2d(nn.Module):
    """Convolution with equalized learning rate and optional filtered resampling by two.

    Args:
        kernel_size: odd side of the kernel; the borders are padded to keep the size.
        resample: "up" doubles the size, "down" halves it.
        taps: taps of the resampling filter along one axis.
        lr_mult: factor on the learning rate of weight and bias.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        bias: bool = True,
        resample: ResampleMode | None = None,
        taps: Sequence[float] = BINOMIAL_TAPS,
        lr_mult: float = 1.0,
    ) -> None:
        super().__init__()
        shape = (out_channels, in_channels, kernel_size, kernel_size)
        self.weight = nn.Parameter(torch.randn(shape) / lr_mult)
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        self.weight_gain = lr_mult / math.sqrt(in_channels * kernel_size**2)
        self.lr_mult = lr_mult
        self.convolve = ConvResampler(kernel_size, resample, taps)

    def forward(self, x: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> [N, out_channels, H', W']."""
        y: Tensor = self.convolve(x, self.weight * self.weight_gain)
        if self.bias is None:
            return y
        return y + (self.bias * self.lr_mult).to(y.dtype).reshape(1, -1, 1, 1)
