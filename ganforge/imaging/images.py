"""Image tensors and PIL images: conversion of values, channels, alpha and size.

Shapes: N images, C channels (1 gray, 3 RGB, 4 RGBA), H height, W width. Float images are in
[-1, 1]; the byte b stands for b / 127.5 - 1.
"""

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ganforge.errors import ShapeError
from ganforge.imaging.channels import LUMA, MODES, composite
from ganforge.imaging.codec import Undecodable, decode_image

WHITE = (255, 255, 255)
Resize = Literal["crop", "pad", "stretch"]
"""How `resize` reaches another shape."""


def to_uint8(img: Tensor) -> Tensor:
    """Round float images in [-1, 1] to bytes; values outside are clamped."""
    return img.float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)


def from_uint8(img: Tensor) -> Tensor:
    """Float images in [-1, 1] from bytes: the inverse of `to_uint8`."""
    return img.float().div(127.5).sub(1)


def to_pixels(img: Tensor, bit_depth: int = 8) -> NDArray[Any]:
    """Pixels [N, H, W, C], uint8 or uint16, of float images [N, C, H, W] in [-1, 1]."""
    if bit_depth == 8:
        values = to_uint8(img).cpu().numpy()
    else:
        scaled = img.float().add(1).mul(32767.5).round().clamp(0, 65535)
        values = scaled.cpu().numpy().astype(np.uint16)
    return np.ascontiguousarray(values.transpose(0, 2, 3, 1))


def from_pixels(pixels: NDArray[Any]) -> Tensor:
    """A float image [C, H, W] in [-1, 1] of pixels [H, W, C], uint8 or uint16."""
    values = torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)
    return values.div(np.iinfo(pixels.dtype).max / 2).sub(1)


def to_pil(img: Tensor) -> list[Image.Image]:
    """PIL images of mode L, RGB or RGBA from a batch [N, C, H, W], float in [-1, 1] or uint8.

    Raises:
        ShapeError: the batch is not 4-D or has another number of channels.
    """
    _check_batch(img)
    pixels = (img if img.dtype == torch.uint8 else to_uint8(img)).permute(0, 2, 3, 1).cpu().numpy()
    return [
        Image.fromarray(p[..., 0] if p.shape[2] == 1 else np.ascontiguousarray(p)) for p in pixels
    ]


def from_pil(
    image: Image.Image, channels: int = 3, background: tuple[int, int, int] = WHITE
) -> Tensor:
    """A tensor [C, H, W] float32 in [-1, 1] from an image of any mode, 8 or 16 bit, turned upright.

    Transparency is composited over `background`, RGB 0 to 255, unless `channels` is 4.

    Raises:
        ShapeError: another number of channels, or an image of floats or of more than 16 bits.
    """
    try:
        pixels = decode_image(image)
    except Undecodable as err:
        raise ShapeError(f"The image {err}.") from err
    return convert_channels(from_pixels(pixels).unsqueeze(0), channels, background)[0]


def convert_channels(
    img: Tensor, channels: int, background: tuple[int, int, int] = WHITE
) -> Tensor:
    """The images [N, C, H, W] in [-1, 1] with another number of channels: 1, 3, or 4 (opaque).

    `background`, RGB 0 to 255, is shown where an image with alpha is transparent.

    Raises:
        ShapeError: either number of channels is another one.
    """
    _check_batch(img)
    if channels not in MODES:
        raise ShapeError(f"channels={channels} is not an image format; use 1, 3 or 4.")
    if img.shape[1] == channels:
        return img
    if img.shape[1] == 4:
        below = from_uint8(img.new_tensor(background)).view(1, 3, 1, 1)
        img = composite(img[:, :3], img[:, 3:].add(1).div(2), below)
    if channels == 1:
        return (img * img.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
    color = img.expand(-1, 3, -1, -1)
    return torch.cat([color, torch.ones_like(color[:, :1])], 1) if channels == 4 else color


def image_grid(img: Tensor, rows: int, cols: int) -> Image.Image:
    """One image with the batch laid out row by row; empty cells are white.

    `img` is [N, C, H, W], float in [-1, 1] or uint8, with N at most rows * cols.

    Raises:
        ShapeError: the batch is not 4-D, has another number of channels or does not fit.
    """
    _check_batch(img)
    count, channels, height, width = img.shape
    if count > rows * cols or rows < 1 or cols < 1:
        raise ShapeError(
            f"{count} images do not fit a grid of {rows} x {cols}. Give more rows or columns, "
            f"or fewer images."
        )
    grid = Image.new(MODES[channels], (cols * width, rows * height), "white")
    for index, image in enumerate(to_pil(img)):
        grid.paste(image, (index % cols * width, index // cols * height))
    return grid


def resize(
    img: Tensor, height: int, width: int, mode: Resize, *, is_labels: bool = False
) -> Tensor:
    """Images [N, C, H, W] in [-1, 1] scaled to a size: bicubic, anti-aliased when they shrink.

    The mode "crop" scales until the size is covered and cuts the center, "pad" scales until the
    image fits and adds white, "stretch" changes the aspect ratio. One-hot label maps (`is_labels`)
    take the nearest label, and padding without label.
    """
    if img.shape[-2:] == (height, width):
        return img
    factors = height / img.shape[-2], width / img.shape[-1]
    size = [height, width]
    if mode != "stretch":
        factor = max(factors) if mode == "crop" else min(factors)
        size = [max(1, round(side * factor)) for side in img.shape[-2:]]
    interpolate = torch.nn.functional.interpolate
    if is_labels:
        scaled = interpolate(img, size, mode="nearest-exact")
    else:
        scaled = interpolate(img, size, mode="bicubic", antialias=True).clamp(-1, 1)
    below, right = height - scaled.shape[-2], width - scaled.shape[-1]
    # A negative pad cuts, so that one call serves all modes.
    edges = (right // 2, right - right // 2, below // 2, below - below // 2)
    return torch.nn.functional.pad(scaled, edges, value=0.0 if is_labels else 1.0)


def pad_mirrored(img: Tensor, height: int, width: int) -> Tensor:
    """Images [N, C, H, W] enlarged on all sides by their mirror image, to at least their size.

    An image smaller than what is added repeats its edge instead.
    """
    top, left = (height - img.shape[-2]) // 2, (width - img.shape[-1]) // 2
    bottom, right = height - img.shape[-2] - top, width - img.shape[-1] - left
    if not (bottom or right):
        return img
    fits = bottom < img.shape[-2] and right < img.shape[-1]
    mode = "reflect" if fits else "replicate"
    return torch.nn.functional.pad(img, (left, right, top, bottom), mode=mode)


def crop_center(img: Tensor, height: int, width: int) -> Tensor:
    """The center of images [N, C, H, W]: what `pad_mirrored` has enlarged to their size."""
    top, left = (img.shape[-2] - height) // 2, (img.shape[-1] - width) // 2
    return img[..., top : top + height, left : left + width]


def _check_batch(img: Tensor) -> None:
    if img.ndim != 4 or img.shape[1] not in MODES:
        raise ShapeError(
            f"An image batch of shape {list(img.shape)} cannot be shown; it must be "
            f"[N, C, H, W] with C = 1 (gray), 3 (RGB) or 4 (RGBA)."
        )
