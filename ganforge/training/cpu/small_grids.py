"""Convolutions of small grids on processors with matrix units: the images of a batch side by side.

Such processors multiply tiles of 16 rows, and a convolution fills a tile from one row of one image:
a grid 4 wide leaves three quarters of it empty. With the images beside one another, zeros between
them, the rows are long. The same sums in another order, by torch's own convolutions, so that
compilation and gradients of any order hold.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ganforge.layers import leaky_relu, relu
from ganforge.training.precision import cpu_flags

_MAX_WIDTH = 8
"""Up to this width of the coarser of both grids it was faster, at 16 slower (bench_small_grids)."""
_MIN_CHANNEL_PAIRS = 64**2
"""Input times output channels from which it was faster."""
Pair = tuple[int, int]


def has_matrix_units() -> bool:
    """Whether this processor multiplies bfloat16 in tiles (AMX)."""
    return "amx_bf16" in cpu_flags()


def _relu(input: Tensor, inplace: bool = False) -> Tensor:
    """`functional.relu`, without a mask in front of a convolution side by side."""
    if inplace or not _is_small(input):
        return functional.relu(input, inplace)
    return relu(input)


def _leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """`functional.leaky_relu`, likewise."""
    if inplace or not _is_small(input):
        return functional.leaky_relu(input, negative_slope, inplace)
    return leaky_relu(input, negative_slope)


def _is_small(x: Tensor) -> bool:
    return x.device.type == "cpu" and x.ndim == 4 and 1 < x.shape[3] <= _MAX_WIDTH


def _conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | str | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    """`torch.conv2d`, by the form that is faster."""
    if not isinstance(padding, str) and _is_plain(input, weight, dilation, groups):
        strides, paddings = _pair(stride), _pair(padding)
        width = (input.shape[3] + 2 * paddings[1] - weight.shape[3]) // strides[1] + 1
        if 1 < width <= _MAX_WIDTH:
            return conv2d_side_by_side(input, weight, bias, strides, paddings)
    return torch.conv2d(input, weight, bias, stride, padding, dilation, groups)


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
    """`torch.conv_transpose2d`, by the form that is faster."""
    if _is_small(input) and _is_plain(input, weight, dilation, groups):
        return conv_transpose2d_side_by_side(
            input, weight, bias, _pair(stride), _pair(padding), _pair(output_padding)
        )
    return torch.conv_transpose2d(
        input, weight, bias, stride, padding, output_padding, groups, dilation
    )


def _is_plain(x: Tensor, weight: Tensor, dilation: int | Sequence[int], groups: int) -> bool:
    return (
        x.device.type == "cpu"
        and (x.dtype == torch.bfloat16 or torch.is_autocast_enabled("cpu"))
        and x.ndim == 4
        and x.shape[0] > 1
        and groups == 1
        and _pair(dilation) == (1, 1)
        and weight.shape[3] > 1
        and weight.shape[0] * weight.shape[1] >= _MIN_CHANNEL_PAIRS
    )


def _pair(value: int | Sequence[int]) -> Pair:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def conv2d_side_by_side(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair
) -> Tensor:
    """Equal to `conv2d(x, weight, bias, stride, padding)`.

    Args:
        x: [N, I, H, W].
        weight: [O, I, k, k].
        bias: [O] or none.
        stride: down and across.
        padding: zeros on each border, down and across.
    """
    width = (x.shape[3] + 2 * padding[1] - weight.shape[3]) // stride[1] + 1
    # An image's own columns and the zeros behind it, which are also those before the next.
    place = max(width, -(-(x.shape[3] + padding[1]) // stride[1]))
    y = torch.conv2d(_laid_out(x, place * stride[1]), weight, bias, stride, padding)
    return _taken_apart(y, x.shape[0], place, width)


def conv_transpose2d_side_by_side(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Pair,
    padding: Pair,
    output_padding: Pair,
) -> Tensor:
    """Equal to `conv_transpose2d(x, weight, bias, stride, padding, output_padding)`.

    Args:
        x: [N, I, H, W].
        weight: [I, O, k, k].
        bias: [O] or none.
        stride: down and across.
        padding: what is cut from each border, down and across.
        output_padding: what is added behind, down and across.
    """
    full = (x.shape[3] - 1) * stride[1] + weight.shape[3]
    width = full - 2 * padding[1] + output_padding[1]
    # No image reaches what is shown of the next one, nor the next one what is shown of it.
    reach = full - padding[1] + output_padding[1]
    place = max(x.shape[3], -(-reach // stride[1]))
    wide = _laid_out(x, place)
    y = torch.conv_transpose2d(wide, weight, bias, stride, padding, output_padding)
    return _taken_apart(y, x.shape[0], place * stride[1], width)


def _laid_out(x: Tensor, place: int) -> Tensor:
    """[N, C, H, W] -> [1, C, H, N * place], each image followed by zeros."""
    num, channels, height, width = x.shape
    rows = functional.pad(x.permute(2, 0, 3, 1), (0, 0, 0, place - width))
    return rows.reshape(1, height, num * place, channels).permute(0, 3, 1, 2)


def _taken_apart(y: Tensor, num: int, place: int, width: int) -> Tensor:
    """[1, C, H, about num * place] -> [num, C, H, width] in channels_last."""
    _, channels, height, total = y.shape
    rows = y.permute(0, 2, 3, 1)[0, :, : num * place]
    rows = functional.pad(rows, (0, 0, 0, max(0, num * place - total)))
    images = rows.reshape(height, num, place, channels)[:, :, :width].permute(1, 3, 0, 2)
    return images.contiguous(memory_format=torch.channels_last)


FORMS: Mapping[Callable[..., Any], Callable[..., Any]] = {
    torch.conv2d: _conv2d,
    torch.conv_transpose2d: _conv_transpose2d,
    functional.relu: _relu,
    functional.leaky_relu: _leaky_relu,
}
"""What stands in for torch's functions."""
