"""Converts images to translate to tensors of a number of channels."""

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from ganforge.errors import ConfigError, ShapeError
from ganforge.imaging.images import MODES, convert_channels, from_pil, from_uint8

Images = Image.Image | Tensor | Sequence[Image.Image | Tensor]
"""One image or several: PIL, or tensors [C, H, W] or [N, C, H, W], float in [-1, 1] or uint8."""


def source_images(images: Images, channels: int) -> list[Tensor]:
    """Convert images of any size and mode to float32 tensors [channels, H, W] in [-1, 1].

    Raises:
        ConfigError: there are no images.
        ShapeError: a tensor is not an image, or has values outside [-1, 1].
    """
    listed = [images] if isinstance(images, Image.Image | Tensor) else images
    found = [img for image in listed for img in _as_batch(image, channels)]
    if not found:
        raise ConfigError("There are no images to translate; give at least one.")
    return found


def _as_batch(image: Image.Image | Tensor, channels: int) -> Tensor:
    if isinstance(image, Image.Image):
        return from_pil(image, channels).unsqueeze(0)
    if not isinstance(image, Tensor) or image.ndim not in (3, 4) or image.shape[-3] not in MODES:
        got = list(image.shape) if isinstance(image, Tensor) else type(image).__name__
        raise ShapeError(
            f"Cannot translate {got}; give PIL images, or tensors [C, H, W] or [N, C, H, W] with "
            f"1, 3 or 4 channels."
        )
    batch = (image.unsqueeze(0) if image.ndim == 3 else image).detach().cpu()
    img = from_uint8(batch) if batch.dtype == torch.uint8 else batch.float()
    # A tolerance of 1 % accepts the output of another model, and still finds a [0, 255] scale.
    if img.numel() and img.abs().max() > 1.01:
        raise ShapeError(
            f"The tensor to translate holds values from {img.min():.3g} to {img.max():.3g}; "
            f"float images are in [-1, 1]. Scale it, or give it as uint8."
        )
    return convert_channels(img, channels)
