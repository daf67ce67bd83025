"""Initialization of the weights of a network."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ganforge.layers.spectral import SpectralNorm

_WEIGHTED = (nn.Linear, nn.Embedding, nn.modules.conv._ConvNd)


def init_normal(network: nn.Module, std: float = 0.02) -> None:
    """Draw linear, embedding and convolution weights from N(0, std) and zero the biases.

    Gains of normalizations are drawn from N(1, std).

    Source: Radford et al. 2016, arXiv:1511.06434, Sec. 4, and the authors' code for the gains.
    """
    _init_weights(network, lambda weight: nn.init.normal_(weight, 0.0, std))
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._NormBase) and module.affine:
            nn.init.normal_(module.weight, 1.0, std)
            nn.init.zeros_(module.bias)


def init_xavier(network: nn.Module, gain: float = 1.0) -> None:
    """Draw linear, embedding and convolution weights uniformly, by fans in and out; zero biases.

    Source: Glorot and Bengio 2010, Eq. 16.
    """
    _init_weights(network, lambda weight: nn.init.xavier_uniform_(weight, gain))


def init_orthogonal(network: nn.Module, gain: float = 1.0) -> None:
    """Give linear, embedding and convolution weights orthonormal rows and zero the biases.

    Source: Saxe et al. 2014, arXiv:1312.6120; for GANs Brock et al. 2019, arXiv:1809.11096.
    """
    # Weights on the meta device have no values to factorize.
    _init_weights(network, lambda w: w if w.is_meta else nn.init.orthogonal_(w, gain))


@torch.no_grad()
def _init_weights(network: nn.Module, draw: Callable[[Tensor], Tensor]) -> None:
    for module in network.modules():
        if isinstance(module, _WEIGHTED):
            _draw_weight(module, draw)
            bias = getattr(module, "bias", None)
            if bias is not None:
                nn.init.zeros_(bias)


def _draw_weight(module: nn.Module, draw: Callable[[Tensor], Tensor]) -> None:
    if not parametrize.is_parametrized(module, "weight"):
        assert isinstance(module.weight, Tensor)
        draw(module.weight)
        return
    # `module.weight` is computed here: the parameter is the one behind it.
    parametrization = module.get_submodule("parametrizations.weight")
    original = parametrization.original
    assert isinstance(original, Tensor)
    draw(original)
    for step in parametrization.children():
        if isinstance(step, SpectralNorm):
            step.estimate_anew(original)
