"""Between image tensors, bytes and PIL: pure functions that every part of ganforge shares.

Shapes: N images, C channels (1 grey, 3 RGB, 4 RGBA), H height, W width. Float images are in
[-1, 1]; the byte b stands for b / 127.5 - 1.
"""

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ganforge.errors import ShapeError

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
"""PIL's mode for each number of channels."""
WHITE = (255, 255, 255)


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
