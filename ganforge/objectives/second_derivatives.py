"""Gradients of gradients that compute what is wanted and nothing else.

A penalty on a gradient differentiates the backward pass. PyTorch's rule for a convolution then also
computes the gradient of its weight where nobody wants it, such as a fixed filter's, and loops over
groups to do so. Its rule for a rectifier returns zeros for the input, where there is no gradient:
autograd carries them through the whole network.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from ganforge.layers.replace_functions import Function, ReplaceFunctions

_Pair = tuple[int, ...]


class _Settings(NamedTuple):
    """How a convolution moves over its input; see `torch.nn.functional.conv2d`."""

    stride: _Pair
    padding: _Pair
    dilation: _Pair
    transposed: bool
    output_padding: _Pair
    groups: int

    def backward(self, x: Tensor, y: Tensor, weight: Tensor) -> "_Settings":
        """The settings with which the same weight turns the gradient at y into that at x."""
        if self.transposed:
            return self._replace(transposed=False, output_padding=(0, 0))
        rest = tuple(
            before - ((after - 1) * stride - 2 * padding + dilation * (side - 1) + 1)
            for before, after, stride, padding, dilation, side in zip(
                x.shape[2:],
                y.shape[2:],
                self.stride,
                self.padding,
                self.dilation,
                weight.shape[2:],
                strict=True,
            )
        )
        return self._replace(transposed=True, output_padding=rest)


class _Convolution(torch.autograd.Function):
    """x [N, I, H, W] and a weight -> [N, O, H', W']."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, settings: _Settings) -> Tensor:
        ctx.settings = settings
        ctx.save_for_backward(x, weight)
        y: Tensor = torch.ops.aten.convolution(x, weight, None, *settings)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        grad_x = grad_weight = None
        if ctx.needs_input_grad[0]:
            grad_x = _Convolution.apply(grad, weight, ctx.settings.backward(x, grad, weight))
        if ctx.needs_input_grad[1] and _is_wanted(weight):
            grad_weight = _WeightGradient.apply(grad, x, weight, ctx.settings)
        return grad_x, grad_weight, None


class _WeightGradient(torch.autograd.Function):
    """Gradients at the output and input -> gradient at the weight, whose values do not matter."""

    @staticmethod
    def forward(ctx: Any, grad: Tensor, x: Tensor, weight: Tensor, settings: _Settings) -> Tensor:
        ctx.settings = settings
        ctx.save_for_backward(grad, x)
        wanted = (False, True, False)
        _, found, _ = torch.ops.aten.convolution_backward(grad, x, weight, None, *settings, wanted)
        result: Tensor = found
        return result

    @staticmethod
    def backward(ctx: Any, grad_weight: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        grad, x = ctx.saved_tensors
        at_grad = at_x = None
        if ctx.needs_input_grad[0]:
            at_grad = _Convolution.apply(x, grad_weight, ctx.settings)
        if ctx.needs_input_grad[1]:
            settings = ctx.settings.backward(x, grad, grad_weight)
            at_x = _Convolution.apply(grad, grad_weight, settings)
        return at_grad, at_x, None, None


class _Wanted:
    """Where `input_gradient` takes the gradient; None outside of it.

    Autograd's threads see it too, which context variables are not.
    """

    node: Any = None


def _is_wanted(weight: Tensor) -> bool:
    """Whether the gradient of a weight is: in `input_gradient`, if the weight depends on `at`."""
    if _Wanted.node is None:
        return True
    nodes, seen = [weight.grad_fn], set()
    while nodes:
        node = nodes.pop()
        if node is _Wanted.node:
            return True
        if node is not None and node not in seen:
            seen.add(node)
            nodes += [before for before, _ in node.next_functions]
    return False


def input_gradient(value: Tensor, at: Tensor) -> Tensor:
    """The gradient of a scalar at one tensor, itself differentiable.

    Within `cheap_second_derivatives` it skips the gradients of weights that do not depend on the
    tensor, which autograd would compute and drop.
    """
    _Wanted.node = torch.autograd.graph.get_gradient_edge(at).node
    try:
        (gradient,) = torch.autograd.grad(value, at, create_graph=True)
    finally:
        _Wanted.node = None
    return gradient


def _pair(value: int | Sequence[int]) -> _Pair:
    return (value, value) if isinstance(value, int) else tuple(value) * (2 // len(value))


def _as_autocast(input: Tensor, *others: Tensor | None) -> tuple[Any, ...]:
    """All in the type to which autocast casts the inputs of convolutions, if it is on.

    Autocast does not reach into autograd functions: what they keep must have one type.
    """
    device = "cpu" if input.is_meta else input.device.type
    if not torch.is_autocast_enabled(device) or input.dtype == torch.float64:
        return input, *others
    dtype = torch.get_autocast_dtype(device)
    return tuple(None if x is None else x.to(dtype) for x in (input, *others))


def _with_bias(y: Tensor, bias: Tensor | None) -> Tensor:
    return y if bias is None else y + bias[:, None, None]


def _conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | str | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    if isinstance(padding, str) or input.dim() != 4:
        return torch.conv2d(input, weight, bias, stride, padding, dilation, groups)
    settings = _Settings(_pair(stride), _pair(padding), _pair(dilation), False, (0, 0), groups)
    input, weight, bias = _as_autocast(input, weight, bias)
    return _with_bias(_Convolution.apply(input, weight, settings), bias)


def _conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    output_padding: int | Sequence[int] = 0,
    groups: int = 1,
    dilation: int | Sequence[int] = 1,
) -> Tensor:
    if input.dim() != 4:
        return torch.conv_transpose2d(
            input, weight, bias, stride, padding, output_padding, groups, dilation
        )
    settings = _Settings(
        _pair(stride), _pair(padding), _pair(dilation), True, _pair(output_padding), groups
    )
    input, weight, bias = _as_autocast(input, weight, bias)
    return _with_bias(_Convolution.apply(input, weight, settings), bias)


def _relu(input: Tensor, inplace: bool = False) -> Tensor:
    if inplace:
        return functional.relu(input, inplace=True)
    return torch.where(input.detach() > 0, input, 0.0)


def _leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    if inplace:
        return functional.leaky_relu(input, negative_slope, inplace=True)
    return torch.where(input.detach() > 0, input, input * negative_slope)


_REPLACEMENTS: Mapping[Function, Function] = {
    torch.conv2d: _conv2d,
    torch.conv_transpose2d: _conv_transpose2d,
    functional.relu: _relu,
    functional.leaky_relu: _leaky_relu,
}


@contextlib.contextmanager
def cheap_second_derivatives() -> Iterator[None]:
    """Within it, convolutions in two dimensions and rectifiers have cheap second derivatives.

    This holds whatever calls them. Values and gradients are PyTorch's up to rounding.
    """
    with ReplaceFunctions(_REPLACEMENTS):
        yield
