"""Modulated convolution: a style scales the input channels, demodulation restores the variance.

Source: Karras et al. 2020, arXiv:1912.04958, Sec. 2.2, Eq. 1 and 3.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from ganforge.interfaces.batch import full_precision
from ganforge.layers.equalized import EqualizedLinear
from ganforge.layers.resample import BINOMIAL_TAPS, ConvResampler, ResampleMode

ModulationForm = Literal["scaled", "grouped"]


def demodulation(weight: Tensor, styles: Tensor, eps: float = 1e-8) -> Tensor:
    """The factors [N, O], float32, that give each modulated filter unit norm.

    The weight is [O, I, k, k], the styles are [N, I]; `eps` keeps a zero filter finite.
    """
    with full_precision(weight):
        energy = weight.float().square().sum(dim=(2, 3))
        return torch.rsqrt(styles.float().square() @ energy.T + eps)


def modulated_conv2d(
    x: Tensor,
    weight: Tensor,
    styles: Tensor,
    convolve: ConvResampler,
    *,
    demodulate: bool = True,
    form: ModulationForm = "scaled",
    gain: Tensor | None = None,
) -> Tensor:
    """Convolve each sample with its own modulated weights.

    Args:
        x: [N, I, H, W].
        weight: [O, I, k, k], shared.
        styles: [N, I] factors on the input channels.
        convolve: computes the convolution, and the resampling if any.
        demodulate: give each output channel unit expected variance.
        form: "scaled" multiplies activations before and after one shared convolution; "grouped"
            builds the weights of each sample, as in the paper, and runs a grouped convolution.
            Both are equal up to rounding. On CPUs, training was 2 to 4 times as fast with "scaled".
        gain: scalar factor on the result, applied after demodulation.
    """
    factors = demodulation(weight, styles) if demodulate else None
    if gain is not None and factors is not None:
        factors = factors * gain
    elif gain is not None:
        styles = styles * gain
    if form == "grouped":
        return _grouped(x, weight, styles, factors, convolve)
    y: Tensor = convolve(x * styles.to(x.dtype)[:, :, None, None], weight)
    return y if factors is None else y * factors.to(y.dtype)[:, :, None, None]


def _grouped(
    x: Tensor, weight: Tensor, styles: Tensor, factors: Tensor | None, convolve: ConvResampler
) -> Tensor:
    num, channels, height, width = x.shape
    weights = weight * styles[:, None, :, None, None]
    if factors is not None:
        weights = weights * factors[:, :, None, None, None]
    weights = weights.to(x.dtype).reshape(-1, *weight.shape[1:])
    y: Tensor = convolve(x.reshape(1, num * channels, height, width), weights, num)
    return y.reshape(num, -1, *y.shape[2:])


class ModulatedConv2d(nn.Module):
    """Modulated convolution with equalized learning rate and its own style from w.

    Args:
        kernel_size: odd side of the kernel.
        demodulate, form: as in `modulated_conv2d`.
        resample, taps: as in `EqualizedConv2d`.
        padding: zeros on each border without resampling; by default the size is kept.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        w_dim: int,
        *,
        demodulate: bool = True,
        resample: ResampleMode | None = None,
        taps: Sequence[float] = BINOMIAL_TAPS,
        form: ModulationForm = "scaled",
        padding: int | None = None,
    ) -> None:
        super().__init__()
        self.affine = EqualizedLinear(w_dim, in_channels, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel_size, kernel_size))
        self.weight_gain = 1.0 / math.sqrt(in_channels * kernel_size**2)
        self.demodulate = demodulate
        self.form: ModulationForm = form
        self.convolve = ConvResampler(kernel_size, resample, taps, padding)

    def forward(self, x: Tensor, w: Tensor, gain: Tensor | None = None) -> Tensor:
        """[N, in_channels, H, W] and [N, w_dim] -> [N, out_channels, H', W'], times `gain`."""
        # A style scales all pixels of a channel; bfloat16 would round it to 3 digits.
        with full_precision(x):
            styles = self.affine(w.float())
        weight, form = self.weight * self.weight_gain, self.form
        return modulated_conv2d(
            x, weight, styles, self.convolve, demodulate=self.demodulate, form=form, gain=gain
        )
