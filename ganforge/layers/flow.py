"""Optical flow without weights: Lucas-Kanade over a pyramid of sizes.

A small estimator for small motion. It is the teacher of video models where no trained network is
at hand, and what metrics of video follow motion by.

Shapes: N pairs of images, C channels, H height, W width.
"""

import functools

import torch
from torch import Tensor
from torch.nn import functional

from ganforge.interfaces.batch import full_precision
from ganforge.layers.warp import warp

_SMALLEST = 12
"""The shorter side of the coarsest level is at least this long, in pixels."""
_DAMPING = 1e-3
"""Keeps the flow of the coarser level where there is no texture, for images in [-1, 1]."""
_LONGEST_STEP = 1.0
"""Pixels by which one iteration may change the flow."""
_CONFIDENT = 0.02


def estimate_flow(
    current: Tensor, previous: Tensor, *, sigma: float = 1.5, iterations: int = 5
) -> Tensor:
    """Where each pixel of `current` was in `previous`: `warp(previous, flow)` is like `current`.

    At each level, from the coarsest, the flow of the level before is refined: the step that best
    explains the difference to the warped image in a Gaussian window, in the sense of least squares.

    Args:
        current: [N, C, H, W] float in [-1, 1].
        previous: the same shape.
        sigma: of the window, in pixels of each level.
        iterations: steps at each level.

    Returns:
        [N, 2, H, W] float32, (x, y) in pixels, without gradient.

    Source: Lucas and Kanade 1981, IJCAI; Bouguet 2001, "Pyramidal implementation of the affine
    Lucas Kanade feature tracker".
    """
    with torch.no_grad(), full_precision(current):
        levels = list(zip(_pyramid(current.float()), _pyramid(previous.float()), strict=True))
        flow = current.new_zeros(current.shape[0], 2, *levels[-1][0].shape[2:]).float()
        for now, before in reversed(levels):
            flow = resize_flow(flow, now.shape[2], now.shape[3])
            for _ in range(iterations):
                flow = flow + _step(now, warp(before, flow), sigma)
        return flow


def flow_confidence(current: Tensor, previous: Tensor, flow: Tensor) -> Tensor:
    """Where the flow explains the pixels: [N, 1, H, W] float, 1 or 0.

    It does where the squared distance of the colors of `current` and of the warped `previous` is
    below 0.02, for images [N, C, H, W] in [-1, 1]: the rule of the authors of vid2vid.
    """
    with torch.no_grad():
        distance = (current.float() - warp(previous, flow)).square().sum(1, keepdim=True)
        return (distance < _CONFIDENT).float()


def resize_flow(flow: Tensor, height: int, width: int) -> Tensor:
    """A flow [N, 2, h, w] of the same motion in pixels of images of another size."""
    if flow.shape[2:] == (height, width):
        return flow
    # Not by a tensor of two factors, for whose copy to a GPU the host would wait.
    x, y = functional.interpolate(flow, (height, width), mode="bilinear").unbind(1)
    return torch.stack([x * (width / flow.shape[3]), y * (height / flow.shape[2])], dim=1)


def _pyramid(img: Tensor) -> list[Tensor]:
    """The image, a half of it, a quarter, ..."""
    levels = [_blur(img, 0.8)]
    while min(levels[-1].shape[2:]) >= 2 * _SMALLEST:
        half = [(side + 1) // 2 for side in levels[-1].shape[2:]]
        levels.append(functional.interpolate(_blur(levels[-1], 0.8), half, mode="area"))
    return levels


def _step(current: Tensor, warped: Tensor, sigma: float) -> Tensor:
    """The change of the flow [N, 2, H, W] that explains `current` from the warped image."""
    dx, dy = _gradient((current + warped) / 2)
    difference = current - warped
    products = torch.stack([dx * dx, dx * dy, dy * dy, dx * difference, dy * difference], dim=1)
    xx, xy, yy, x, y = _blur(products.sum(2), sigma).unbind(1)
    xx, yy = xx + _DAMPING, yy + _DAMPING
    det = xx * yy - xy * xy
    step = torch.stack([yy * x - xy * y, xx * y - xy * x], dim=1) / det[:, None]
    return step.clamp(-_LONGEST_STEP, _LONGEST_STEP)


def _gradient(img: Tensor) -> tuple[Tensor, Tensor]:
    """Central differences along x and y, of the same shape."""
    wide = functional.pad(img, (1, 1, 1, 1), mode="replicate")
    dx = (wide[..., 1:-1, 2:] - wide[..., 1:-1, :-2]) / 2
    dy = (wide[..., 2:, 1:-1] - wide[..., :-2, 1:-1]) / 2
    return dx, dy


def _blur(img: Tensor, sigma: float) -> Tensor:
    """A Gaussian over repeated edges: [N, C, H, W] -> the same shape."""
    weights = _weights(sigma, img.device)
    radius, channels = len(weights) // 2, img.shape[1]
    kernel = weights.expand(channels, 1, 1, -1)
    wide = functional.pad(img, (radius,) * 4, mode="replicate")
    rows = functional.conv2d(wide, kernel, groups=channels)
    return functional.conv2d(rows, kernel.transpose(2, 3), groups=channels)


@functools.cache
def _weights(sigma: float, device: torch.device) -> Tensor:
    radius = max(1, round(3 * sigma))
    positions = torch.arange(-radius, radius + 1, dtype=torch.float32, device=device)
    weights = torch.exp(-(positions**2) / (2 * sigma**2))
    return weights / weights.sum()
