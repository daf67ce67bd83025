"""Bilinear sampling and warping by optical flow, in plain tensor operations.

`F.grid_sample` is not used: its derivative is not differentiable in every torch version and on
every device, and penalties on gradients need that.

Shapes: N images, C channels, H height, W width. Positions and flows are in pixels.
"""

import torch
from torch import Tensor


def warp(img: Tensor, flow: Tensor) -> Tensor:
    """Backward warping: the pixel of the result at p is that of `img` at p + flow(p).

    Positions outside the image take the nearest edge pixel.

    Args:
        img: [N, C, H, W].
        flow: [N, 2, H, W], (x, y) in pixels, x to the right and y down.

    Returns:
        [N, C, H, W] float32 or float64, differentiable any number of times in both.
    """
    height, width = img.shape[2:]
    dtype = torch.promote_types(torch.promote_types(img.dtype, flow.dtype), torch.float32)
    img, flow = img.to(dtype), flow.to(dtype)
    columns = torch.arange(width, device=img.device, dtype=flow.dtype)
    rows = torch.arange(height, device=img.device, dtype=flow.dtype)[:, None]
    return sample_bilinear(img, columns + flow[:, 0], rows + flow[:, 1])


def sample_bilinear(img: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Bilinear interpolation of img [N, C, H, W] at columns x and rows y, both [N, *P]: [N, C, *P].

    Positions outside take the nearest edge pixel. The result is differentiable any number of times
    in `img`, `x` and `y`.
    """
    batch, channels, height, width = img.shape
    x, y = x.clamp(0, width - 1), y.clamp(0, height - 1)
    left, top = x.detach().floor(), y.detach().floor()
    x_part, y_part = (x - left)[:, None], (y - top)[:, None]
    column, row = left.long(), top.long() * width
    next_column = (column + 1).clamp(max=width - 1)
    next_row = (row + width).clamp(max=(height - 1) * width)
    flat = img.reshape(batch, channels, height * width)

    def pixels(index: Tensor) -> Tensor:
        spread = index.reshape(batch, 1, -1).expand(-1, channels, -1)
        return flat.gather(2, spread).reshape(batch, channels, *index.shape[1:])

    upper = torch.lerp(pixels(row + column), pixels(row + next_column), x_part)
    lower = torch.lerp(pixels(next_row + column), pixels(next_row + next_column), x_part)
    return torch.lerp(upper, lower, y_part)
