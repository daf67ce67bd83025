"""Between image tensors, bytes and PIL: pure functions that every part of ganforge shares.

Shapes: N images, C channels (1 grey, 3 RGB, 4 RGBA), H height, W width. Float images are in
[-1, 1]; the byte b stands for b / 127.5 - 1.
"""

from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ganforge.errors import ShapeError

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
"""PIL's mode for each number of channels."""
WHITE = (255, 255, 255)
Resize = Literal["crop", "pad", "stretch"]
"""How `resize` reaches another shape."""


def to_uint8(img: Tensor) -> Tensor:
    """Round float images in [-1, 1] to bytes; values outside are clamped.

    Args:
        img: float tensor of any shape.

    Returns:
        uint8 tensor of the same shape, on the same device.
    """
    return img.float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)


def from_uint8(img: Tensor) -> Tensor:
    """Float images in [-1, 1] from bytes: the inverse of `to_uint8`."""
    return img.float().div(127.5).sub(1)


def to_pil(img: Tensor) -> list[Image.Image]:
    """PIL images from a batch.

    Args:
        img: [N, C, H, W] float in [-1, 1], or uint8.

    Returns:
        N images of mode L, RGB or RGBA.

    Raises:
        ShapeError: the batch is not 4-D or has another number of channels.
    """
    _check_batch(img)
    pixels = (img if img.dtype == torch.uint8 else to_uint8(img)).permute(0, 2, 3, 1).cpu().numpy()
    return [
        Image.fromarray(p[..., 0] if p.shape[2] == 1 else np.ascontiguousarray(p)) for p in pixels
    ]


def image_grid(img: Tensor, rows: int, cols: int) -> Image.Image:
    """One image with the batch laid out row by row; cells without an image stay white.

    Args:
        img: [N, C, H, W] float in [-1, 1], or uint8; N at most rows * cols.
        rows: rows of the grid.
        cols: columns of the grid.

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
    white = 255 if channels == 1 else (255,) * channels
    grid = Image.new(MODES[channels], (cols * width, rows * height), white)
    for index, image in enumerate(to_pil(img)):
        grid.paste(image, (index % cols * width, index // cols * height))
    return grid


def convert_channels(img: Tensor, channels: int) -> Tensor:
    """The same images with another number of channels; alpha is composited over white.

    Args:
        img: [N, C, H, W] float in [-1, 1], C = 1, 3 or 4.
        channels: 1, 3 or 4. Grey is the luma of ITU-R BT.601.

    Raises:
        ShapeError: either number of channels is another one.
    """
    _check_batch(img)
    if channels not in MODES:
        raise ShapeError(f"channels={channels} is not an image format; use 1, 3 or 4.")
    if img.shape[1] == channels:
        return img
    if img.shape[1] == 4:
        alpha = img[:, 3:].add(1).div(2)
        img = img[:, :3] * alpha + (1 - alpha)
    if channels == 1:
        return (img * img.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    colour = img.expand(-1, 3, -1, -1)
    return torch.cat([colour, torch.ones_like(colour[:, :1])], 1) if channels == 4 else colour


def resize(img: Tensor, height: int, width: int, mode: Resize) -> Tensor:
    """Images scaled to a size: bicubic, with anti-aliasing when they shrink.

    Args:
        img: [N, C, H, W] float in [-1, 1].
        height: wanted, in pixels.
        width: wanted, in pixels.
        mode: "crop" scales until the size is covered and cuts the centre, "pad" scales until the
            image fits and adds white, "stretch" ignores the proportions.

    Returns:
        [N, C, height, width].
    """
    if img.shape[-2:] == (height, width):
        return img
    factors = height / img.shape[-2], width / img.shape[-1]
    if mode == "stretch":
        return _interpolate(img, height, width)
    factor = max(factors) if mode == "crop" else min(factors)
    scaled = _interpolate(
        img, max(1, round(img.shape[-2] * factor)), max(1, round(img.shape[-1] * factor))
    )
    below, right = height - scaled.shape[-2], width - scaled.shape[-1]
    top, left = below // 2, right // 2
    # A negative pad cuts, so that one call serves both modes.
    edges = (left, right - left, top, below - top)
    return torch.nn.functional.pad(scaled, edges, value=1.0)


def _interpolate(img: Tensor, height: int, width: int) -> Tensor:
    scaled = torch.nn.functional.interpolate(
        img, (height, width), mode="bicubic", antialias=True, align_corners=False
    )
    return scaled.clamp(-1, 1)


def flatten_alpha(image: Image.Image, background: tuple[int, int, int] = WHITE) -> Image.Image:
    """The image over an opaque background; an image without transparency is returned unchanged."""
    if not image.has_transparency_data:
        return image
    layer = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, (*background, 255)), layer).convert(
        "RGB"
    )


def from_pil(
    image: Image.Image, channels: int = 3, background: tuple[int, int, int] = WHITE
) -> Tensor:
    """A float tensor from one image of any mode, 8 or 16 bit.

    Args:
        image: the image; transparency is composited over `background` unless channels is 4.
        channels: 1 grey, 3 RGB, 4 RGBA.
        background: RGB, 0 to 255.

    Returns:
        [C, H, W] float32 in [-1, 1].

    Raises:
        ShapeError: another number of channels is asked for.
    """
    if channels not in MODES:
        raise ShapeError(f"channels={channels} is not an image format; use 1, 3 or 4.")
    if image.mode.startswith("I"):
        return _from_16_bit(image, channels)
    opaque = image if channels == 4 else flatten_alpha(image, background)
    pixels = np.array(opaque.convert(MODES[channels]))
    return from_uint8(torch.from_numpy(np.atleast_3d(pixels)).permute(2, 0, 1))


def _from_16_bit(image: Image.Image, channels: int) -> Tensor:
    # PIL's 16-bit modes are grey, and its own conversion to 8 bits clips instead of scaling.
    grey = torch.from_numpy(np.array(image).astype(np.float32)).div(32767.5).sub(1).clamp(-1, 1)
    colour = grey.expand(min(channels, 3), *grey.shape)
    return torch.cat([colour, torch.ones(1, *grey.shape)]) if channels == 4 else colour.clone()


def _check_batch(img: Tensor) -> None:
    if img.ndim != 4 or img.shape[1] not in MODES:
        raise ShapeError(
            f"An image batch of shape {list(img.shape)} cannot be shown; it must be "
            f"[N, C, H, W] with C = 1 (grey), 3 (RGB) or 4 (RGBA)."
        )
