"""Activations: rectifiers that compile well, and pixel normalization."""

import math

import torch
from torch import Tensor, nn

from ganforge.interfaces.batch import full_precision


def relu(x: Tensor) -> Tensor:
    """max(x, 0), any shape, in the form of `without_mask` where that is faster."""
    return without_mask(x, 0.0) if _compiles_for_cpu(x) else nn.functional.relu(x)


def leaky_relu(x: Tensor, slope: float = 0.2) -> Tensor:
    """max(x, slope * x), any shape, in the form of `without_mask` where that is faster."""
    return without_mask(x, slope) if _compiles_for_cpu(x) else nn.functional.leaky_relu(x, slope)


def without_mask(x: Tensor, slope: float) -> Tensor:
    """Leaky ReLU by the absolute value, which keeps no mask for the backward pass.

    Compiled code keeps a mask of booleans where the output is not itself kept for the backward
    pass: before a resampling, a sum or padding. On CPUs, Inductor (torch 2.15) writes such a mask
    one value at a time, and takes 10 times as long as this form.
    """
    return (1 + slope) / 2 * x + (1 - slope) / 2 * x.abs()


def _compiles_for_cpu(x: Tensor) -> bool:
    return torch.compiler.is_compiling() and x.device.type == "cpu"


def scaled_leaky_relu(x: Tensor, slope: float = 0.2, gain: float = math.sqrt(2.0)) -> Tensor:
    """Leaky ReLU times `gain`, any shape.

    sqrt(2) restores the variance, which a rectifier halves (He et al. 2015, arXiv:1502.01852).

    Source: Karras et al. 2020, arXiv:1912.04958, appendix B.
    """
    return leaky_relu(x, slope) * gain


def pixel_norm(x: Tensor, eps: float = 1e-8) -> Tensor:
    """Scale the feature vectors of x [N, C, ...], along dimension 1, to unit mean square.

    `eps` keeps the zero vector finite. The computation is in float32, the result has x's type.

    Source: Karras et al. 2018, arXiv:1710.10196, Sec. 4.2.
    """
    with full_precision(x):
        wide = x.float()
        return (wide * torch.rsqrt(wide.square().mean(dim=1, keepdim=True) + eps)).to(x.dtype)


class ReLU(nn.Module):
    """`relu` as a module."""

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as `x`."""
        return relu(x)


class LeakyReLU(nn.Module):
    """`leaky_relu` as a module."""

    def __init__(self, slope: float = 0.2) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as `x`."""
        return leaky_relu(x, self.slope)


class ScaledLeakyReLU(nn.Module):
    """`scaled_leaky_relu` as a module."""

    def __init__(self, slope: float = 0.2, gain: float = math.sqrt(2.0)) -> None:
        super().__init__()
        self.slope, self.gain = slope, gain

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as `x`."""
        return scaled_leaky_relu(x, self.slope, self.gain)


class PixelNorm(nn.Module):
    """`pixel_norm` as a module."""

    def __init__(self, eps: float = 1e-8) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as `x`."""
        return pixel_norm(x, self.eps)
