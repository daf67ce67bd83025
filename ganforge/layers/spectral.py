"""Spectral normalization: divide a weight by its largest singular value.

Unlike torch's parametrization, this one computes in float32 under autocast, and gives the same
weight in training and evaluation for the same state.

Source: Miyato et al. 2018, arXiv:1802.05957, Sec. 2.1 and appendix A.
"""

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize

from ganforge.interfaces.batch import full_precision

ModuleT = TypeVar("ModuleT", bound=nn.Module)

_WARM_UP = 15


class SpectralNorm(nn.Module):
    """Parametrization W -> W / sigma(W), sigma by power iteration.

    The left singular vector `u` is a float buffer; each forward in training mode refines it.

    Args:
        weight: gives the shape and the first estimate.
        dim: output dimension of the weight.
        num_iterations: power iterations per forward in training mode.
        eps: keeps a zero weight finite.
    """

    u: Tensor

    def __init__(
        self, weight: Tensor, *, dim: int = 0, num_iterations: int = 1, eps: float = 1e-12
    ) -> None:
        super().__init__()
        self.dim, self.num_iterations, self.eps = dim, num_iterations, eps
        self.register_buffer("u", torch.randn(weight.shape[dim], device=weight.device))
        if not weight.is_meta:  # there are no values, and torch takes milliseconds to find that out
            self.u = functional.normalize(self.u, dim=0, eps=eps)
            self.estimate_anew(weight)

    def estimate_anew(self, weight: Tensor) -> None:
        """Estimate again, after the weight has been replaced."""
        self._refine(self._matrix(weight.detach()), _WARM_UP)

    def _matrix(self, weight: Tensor) -> Tensor:
        """One row per output. The columns are in memory order, as their order does not matter."""
        others = (axis for axis in range(weight.dim()) if axis != self.dim)
        columns = sorted(others, key=weight.stride, reverse=True)
        return weight.float().permute(self.dim, *columns).reshape(weight.shape[self.dim], -1)

    @torch.no_grad()
    def _refine(self, matrix: Tensor, times: int) -> None:
        if matrix.is_meta:
            return
        u = self.u
        for _ in range(times):
            v = functional.normalize(matrix.T @ u, dim=0, eps=self.eps)
            u = functional.normalize(matrix @ v, dim=0, eps=self.eps)
        self.u.copy_(u)

    def sigma(self, weight: Tensor) -> Tensor:
        """The current estimate of the largest singular value, differentiable in `weight`."""
        # A copy: a later forward changes the buffer before this one's backward.
        u = self.u.clone()
        # u'Wv with v = W'u / |W'u|.
        sigma: Tensor = torch.linalg.vector_norm(self._matrix(weight).T @ u)
        return sigma

    def forward(self, weight: Tensor) -> Tensor:
        """Same shape as `weight`, with spectral norm about one."""
        with full_precision(weight):
            if self.training:
                self._refine(self._matrix(weight.detach()), self.num_iterations)
            return weight / self.sigma(weight).clamp_min(self.eps)


def spectral_norm(module: ModuleT, *, num_iterations: int = 1, eps: float = 1e-12) -> ModuleT:
    """Put `SpectralNorm` on the weight of a linear, embedding or (transposed) convolution layer.

    Returns the module.
    """
    weight = module.weight
    assert isinstance(weight, Tensor)
    dim = 1 if isinstance(module, nn.modules.conv._ConvTransposeNd) else 0
    norm = SpectralNorm(weight, dim=dim, num_iterations=num_iterations, eps=eps)
    # torch checks a parametrization by a forward pass, which takes milliseconds on meta.
    parametrize.register_parametrization(module, "weight", norm, unsafe=weight.is_meta)
    return module
