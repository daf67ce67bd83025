"""Activations that keep the variance of a network's features near one."""

import math

import torch
from torch import Tensor, nn

from ganforge.batch import full_precision


def scaled_leaky_relu(x: Tensor, slope: float = 0.2, gain: float = math.sqrt(2.0)) -> Tensor:
    """Leaky ReLU followed by a constant gain.

    Args:
        x: any shape.
        slope: of the negative side.
        gain: sqrt(2) restores the variance that a rectifier halves (He et al. 2015,
            arXiv:1502.01852, Sec. 2.2).

    Source: Karras et al. 2020, arXiv:1912.04958, appendix B.
    """
    return nn.functional.leaky_relu(x, slope) * gain


def pixel_norm(x: Tensor, eps: float = 1e-8) -> Tensor:
    """Scale each feature vector, along dimension 1, to unit mean square.

    Args:
        x: [N, C] latents or [N, C, H, W] features.
        eps: keeps the zero vector finite.

    Returns:
        The same shape and type; computed in float32.

    Source: Karras et al. 2018, arXiv:1710.10196, Sec. 4.2.
    """
    with full_precision(x):
        wide = x.float()
        return (wide * torch.rsqrt(wide.square().mean(dim=1, keepdim=True) + eps)).to(x.dtype)


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
