"""Anti-aliased affine resampling in plain tensor operations, differentiable any number of times.

An image is brought to twice its resolution, sampled bilinearly where the transform says, and
brought back (Karras et al. 2020, arXiv:2006.06676, appendix B). Instead of the paper's sym6
wavelet, the low-pass pair of the biorthogonal CDF 9/7 wavelet is used (Cohen, Daubechies and
Feauveau 1992, the filters of JPEG 2000). Like sym6 it reconstructs exactly, so the identity and
whole-pixel shifts cost no sharpness; unlike sym6 it is symmetric, so flips, quarter turns and
reflection at the borders are exact too.

Shapes: N images, C channels, H height, W width. Coordinates are in pixels.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ganforge.layers.warp import sample_bilinear

# Taps at distance 0, 1, 2, ...; both filters are symmetric.
_UP = (1.1150870524570007, 0.5912717631142503, -0.0575435262285003, -0.0912717631142502)
_DOWN = (
    0.6029490182363602,
    0.2668641184428750,
    -0.0782232665289900,
    -0.0168641184428750,
    0.0267487574108100,
)
_MARGIN = len(_DOWN) - 1
# An axis is filtered in blocks of at most this many pixels, each a small dense matrix product:
# on a CPU 2 to 4 times faster than a convolution with one channel, and linear in the size.
_BLOCK = 64


def affine_resample(img: Tensor, inverse: Tensor) -> Tensor:
    """Move each image by an affine map; what comes in from outside is the mirrored image.

    Args:
        img: [N, C, H, W] float32 or float64, H and W at least 4.
        inverse: [N, 3, 3] maps an output position to the input position it shows, both (x, y, 1)
            in pixels from the center of the image.
    """
    height, width = img.shape[2:]
    fine = sample_bilinear(upsample(img), *_fine_positions(height, width, inverse))
    return downsample(fine, height, width)


def _fine_positions(height: int, width: int, inverse: Tensor) -> tuple[Tensor, Tensor]:
    """Where in the fine image each point of the fine output, with its margin, is found."""
    x_out = _fine_axis(width, inverse)
    y_out = _fine_axis(height, inverse)[:, None]
    a, b, c = inverse[:, 0, :, None, None].unbind(1)
    d, e, f = inverse[:, 1, :, None, None].unbind(1)
    x = 2 * (a * x_out + b * y_out + c) + (width - 1)
    y = 2 * (d * x_out + e * y_out + f) + (height - 1)
    return mirror(x, 2 * width - 1), mirror(y, 2 * height - 1)


def _fine_axis(size: int, like: Tensor) -> Tensor:
    count, block = _blocks(size)
    index = torch.arange(2 * count * block + 2 * _MARGIN - 1, device=like.device)
    return (index.to(like.dtype) - _MARGIN - (size - 1)) / 2


def mirror(position: Tensor, size: int) -> Tensor:
    """Fold positions into [0, size - 1] by mirroring about the first and the last pixel."""
    last = size - 1
    return last - (position.remainder(2 * last) - last).abs()


def upsample(img: Tensor) -> Tensor:
    """Twice the resolution: [N, C, H, W] -> [N, C, 2 H - 1, 2 W - 1], pixel i going to 2 i."""
    height, width = img.shape[2:]
    (rows, row_block), (columns, column_block) = _blocks(height), _blocks(width)
    # The filter of a block reaches one pixel before it and two after it.
    right, below = columns * column_block - width + 2, rows * row_block - height + 2
    img = F.pad(img, (1, right, 1, below), mode="reflect")
    img = _upsample_axis(img.transpose(2, 3), row_block).transpose(2, 3)
    return _upsample_axis(img, column_block)[:, :, : 2 * height - 1, : 2 * width - 1]


def _upsample_axis(img: Tensor, block: int) -> Tensor:
    coarse = torch.arange(-1, block + 2, device=img.device)
    fine = torch.arange(2 * block, device=img.device)
    matrix = _taps_at((fine - 2 * coarse[:, None]).abs(), _UP, img.dtype)
    return _filter_axis(img, matrix, block)


def downsample(fine: Tensor, height: int, width: int) -> Tensor:
    """Half the resolution: output pixel i is centered at 2 i + margin of the fine image.

    The fine image has a margin of 4 at the start, and enough for whole blocks at the end.
    """
    columns = _downsample_axis(fine, _blocks(width)[1])
    rows = _downsample_axis(columns.transpose(2, 3), _blocks(height)[1]).transpose(2, 3)
    return rows[:, :, :height, :width]


def _downsample_axis(fine: Tensor, block: int) -> Tensor:
    window = 2 * block + 2 * _MARGIN - 1
    position = torch.arange(-_MARGIN, window - _MARGIN, device=fine.device)
    coarse = torch.arange(block, device=fine.device)
    matrix = _taps_at((position[:, None] - 2 * coarse).abs(), _DOWN, fine.dtype)
    return _filter_axis(fine, matrix, 2 * block)


def _filter_axis(img: Tensor, matrix: Tensor, step: int) -> Tensor:
    """Multiply windows of the last axis, `step` apart, by `matrix` [window, outputs]."""
    size = matrix.shape[0]
    # With one window unfold is not needed, and its derivative is slow.
    windows = img if img.shape[3] == size else img.unfold(3, size, step)
    # One flat product: matmul would make a slower batched one of it.
    return (windows.reshape(-1, size) @ matrix).reshape(*img.shape[:3], -1)


def _taps_at(distance: Tensor, taps: tuple[float, ...], dtype: torch.dtype) -> Tensor:
    """The tap of each distance, 0 beyond the last: made on the device, without a host copy."""
    values = torch.zeros(distance.shape, dtype=dtype, device=distance.device)
    for i, tap in enumerate(taps):
        values = torch.where(distance == i, tap, values)
    return values


def _blocks(size: int) -> tuple[int, int]:
    """How many blocks an axis is cut in, and the pixels of each; the last may overhang."""
    count = math.ceil(size / _BLOCK)
    return count, math.ceil(size / count)
