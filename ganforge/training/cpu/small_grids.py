"""CPU kernels for small grids on processors with matrix units: a batch of images side by side.

Matrix units (AMX) multiply tiles of 16 rows, and a convolution fills a tile from one row of one
image: a grid 4 wide leaves three quarters of the tile empty. Laid out side by side, with zeros
between them, the images make long rows. torch's own convolutions compute the same sums in another
order, so that compilation and gradients of any order work.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ganforge.layers import leaky_relu, relu
from ganforge.training.precision import cpu_flags

_MAX_WIDTH = 8
"""The widest grid, of the coarser of input and output, that it speeds up; at 16 it was slower
(tests/benchmarks/bench_small_grids.py)."""
_MIN_CHANNEL_PAIRS = 64**2
"""Input times output channels from which it is faster."""
Pair = tuple[int, int]


def has_matrix_units() -> bool:
    """Whether this processor multiplies bfloat16 in tiles (AMX)."""
    return "amx_bf16" in cpu_flags()


def _relu(input: Tensor, inplace: bool = False) -> Tensor:
    """`functional.relu`, without a mask where it is compiled for a small grid."""
    if inplace or not _is_small(input):
        return functional.relu(input, inplace)
    return relu(input)


def _leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """`functional.leaky_relu`, without a mask where it is compiled for a small grid."""
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
    """`torch.conv2d`, side by side where that is faster."""
    if not isinstance(padding, str) and _pays_off(input, weight, dilation, groups):
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
    """`torch.conv_transpose2d`, side by side where that is faster."""
    if _is_small(input) and _pays_off(input, weight, dilation, groups):
        return conv_transpose2d_side_by_side(
            input, weight, bias, _pair(stride), _pair(padding), _pair(output_padding)
        )
    return torch.conv_transpose2d(
        input, weight, bias, stride, padding, output_padding, groups, dilation
    )


def _pays_off(x: Tensor, weight: Tensor, dilation: int | Sequence[int], groups: int) -> bool:
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
    """Equal to `conv2d(x, weight, bias, stride, padding)`; pairs are vertical and horizontal."""
    width = (x.shape[3] + 2 * padding[1] - weight.shape[3]) // stride[1] + 1
    # The columns of an image and the zeros behind it, which also precede the next image.
    place = max(width, -(-(x.shape[3] + padding[1]) // stride[1]))
    y = torch.conv2d(_side_by_side(x, place * stride[1]), weight, bias, stride, padding)
    return _apart(y, x.shape[0], place, width)


def conv_transpose2d_side_by_side(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Pair,
    padding: Pair,
    output_padding: Pair,
) -> Tensor:
    """Equal to `conv_transpose2d(x, weight, bias, stride, padding, output_padding)`.

    Pairs are vertical and horizontal.
    """
    full = (x.shape[3] - 1) * stride[1] + weight.shape[3]
    width = full - 2 * padding[1] + output_padding[1]
    # Far enough apart that neighboring images do not overlap in the columns that are kept.
    reach = full - padding[1] + output_padding[1]
    place = max(x.shape[3], -(-reach // stride[1]))
    wide = _side_by_side(x, place)
    y = torch.conv_transpose2d(wide, weight, bias, stride, padding, output_padding)
    return _apart(y, x.shape[0], place * stride[1], width)


def _side_by_side(x: Tensor, place: int) -> Tensor:
    """[N, C, H, W] -> [1, C, H, N * place], each image followed by zeros."""
    num, channels, height, width = x.shape
    rows = functional.pad(x.permute(2, 0, 3, 1), (0, 0, 0, place - width))
    return rows.reshape(1, height, num * place, channels).permute(0, 3, 1, 2)


def _apart(y: Tensor, num: int, place: int, width: int) -> Tensor:
    """[1, C, H, about num * place] -> [num, C, H, width] in channels_last."""
    _, channels, height, total = y.shape
    rows = y.permute(0, 2, 3, 1)[0, :, : num * place]
    rows = functional.pad(rows, (0, 0, 0, max(0, num * place - total)))
    images = rows.reshape(height, num, place, channels)[:, :, :width].permute(1, 3, 0, 2)
    return images.contiguous(memory_format=torch.channels_last)


KERNELS: Mapping[Callable[..., Any], Callable[..., Any]] = {
    torch.conv2d: _conv2d,
    torch.conv_transpose2d: _conv_transpose2d,
    functional.relu: _relu,
    functional.leaky_relu: _leaky_relu,
}
"""The kernel of each torch function that it replaces."""
