"""Numbers that two frameworks can make alike: weights, inputs, and every random draw.

A tensor's values follow from its name and shape: `numpy.random.RandomState`, whose streams NumPy
has frozen, seeded with the CRC-32 of the name. Networks get theirs under the parameter names of
ganforge; the recorder maps those of the authors to them.
"""

import contextlib
import math
import zlib
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import parametrize

from ganforge.layers.spectral import SpectralNorm

_ENTRIES = 4


def uniform(name, shape):
    """Values in [-1, 1), of the precision in use."""
    drawn = np.random.RandomState(zlib.crc32(name.encode())).uniform(-1, 1, tuple(shape))
    return torch.from_numpy(drawn).float()


def normal_like(name, shape):
    """Values of unit variance, in place of normal ones."""
    return math.sqrt(3) * uniform(name, shape)


def parameter(name, shape, equalized):
    """A weight of unit variance, or of 1 / fan-in; a gain near 1; a small bias."""
    values = uniform(name, shape)
    if len(shape) >= 2:
        return values * math.sqrt(3 if equalized else 3 / math.prod(shape[1:]))
    is_gain = name.endswith("weight")
    return 1 + 0.1 * values if is_gain else 0.1 * values


def plain_names(network):
    """Parameters by name, without the words that parametrization adds."""
    return {
        name.replace("parametrizations.weight.original", "weight"): tensor
        for name, tensor in network.named_parameters()
    }


@torch.no_grad()
def fill(network, equalized=False):
    """Give a network of ganforge the weights of the formula; spectral norms are then exact."""
    for name, tensor in plain_names(network).items():
        tensor.copy_(parameter(name, tensor.shape, equalized))
    for name, buffer in network.named_buffers():
        if name.endswith(("frequencies", "phases")):
            buffer.copy_(uniform(name, buffer.shape))
    for module in network.modules():
        if parametrize.is_parametrized(module):
            for step in module.parametrizations.weight:
                if isinstance(step, SpectralNorm):
                    matrix = step._matrix(module.parametrizations.weight.original)
                    step.u.copy_(singular_vectors(matrix)[0])


def singular_vectors(matrix):
    """The left and the right singular vector of the largest singular value."""
    wide = matrix.detach().double()
    if wide.shape[0] > wide.shape[1]:
        right, left = singular_vectors(wide.T)
        return left, right
    left = torch.linalg.eigh(wide @ wide.T).eigenvectors[:, -1]
    right = wide.T @ left
    return left.float(), (right / right.norm()).float()


def _shape(size):
    return tuple(size[0]) if len(size) == 1 and not isinstance(size[0], int) else tuple(size)


@contextlib.contextmanager
def fixed_draws() -> Iterator[None]:
    """Within it, `torch.randn`, `randn_like` and `rand` follow from the number of values alone."""

    def randn(*size, **options) -> Tensor:
        shape = _shape(size or (options["size"],))
        return normal_like("randn", [math.prod(shape)]).reshape(shape)

    def rand(*size, **options) -> Tensor:
        shape = _shape(size or (options["size"],))
        return (uniform("rand", [math.prod(shape)]).reshape(shape) + 1) / 2

    def randn_like(x, **options) -> Tensor:
        return randn(x.shape)

    fixed = {"randn": randn, "rand": rand, "randn_like": randn_like}
    kept = {name: getattr(torch, name) for name in fixed}
    try:
        for name, function in fixed.items():
            setattr(torch, name, function)
        yield
    finally:
        for name, function in kept.items():
            setattr(torch, name, function)


@contextlib.contextmanager
def precision(double) -> Iterator[None]:
    """Within it, new tensors and `Tensor.float` have 64 bits where `double`.

    With 32, rounding alone moves some values across the kink of a rectifier, which changes the
    gradients of a deep network by parts in a thousand.
    """
    kept = torch.Tensor.float
    try:
        if double:
            torch.set_default_dtype(torch.float64)
            torch.Tensor.float = torch.Tensor.double
        yield
    finally:
        torch.set_default_dtype(torch.float32)
        torch.Tensor.float = kept


def summary(tensor):
    """Root mean square and a few evenly spaced entries."""
    flat = tensor.detach().double().flatten()
    places = torch.linspace(0, flat.numel() - 1, min(_ENTRIES, flat.numel())).long()
    values = (flat.square().mean().sqrt(), *flat[places])
    return [float(f"{value:.7g}") for value in values]


def difference(ours, theirs, floor=0.0):
    """The largest difference of two summaries, as a part of the value plus the tensor's size.

    Size is the root mean square, at least `floor`, so that rounding errors around zero, such as the
    gradient of a bias in front of a batch norm, do not count.
    """
    size = max(abs(theirs[0]), floor)
    pairs = zip(ours, theirs, strict=True)
    return max(abs(own - other) / (abs(other) + size) for own, other in pairs)
