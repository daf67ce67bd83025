"""Channels, bits and size: how `prepare` makes all images alike. Pixels are arrays [H, W, C]."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ganforge.imaging.codec import Pixels, Undecodable
from ganforge.imaging.images import LUMA, composite

_PREMULTIPLIED_MIN = 1e-6


@dataclass(frozen=True)
class ImageForm:
    """The form of all images of a field."""

    height: int
    width: int
    channels: int
    """1, 3 or 4."""
    bit_depth: int
    """8 or 16."""
    resize: Literal["none", "pad", "crop", "fit", "stretch"]
    background: tuple[int, int, int]
    """RGB 0 to 255, under transparency and as padding."""

    def apply(self, pixels: Pixels) -> Pixels:
        """The image in this form.

        Raises:
            Undecodable: it does not fit: more bits, another size with `none`, too large for `pad`.
        """
        if pixels.dtype == np.uint8 and self.bit_depth == 16:
            pixels = pixels.astype(np.uint16) * 257
        elif pixels.dtype == np.uint16 and self.bit_depth == 8:
            raise Undecodable(
                "has 16 bits per channel, the images before it have 8; make them alike"
            )
        return np.ascontiguousarray(self._to_size(self._to_channels(pixels)))

    def _background(self) -> NDArray[np.float64]:
        """The background in units of this depth: [3]."""
        return np.array(self.background, dtype=np.float64) * (1 if self.bit_depth == 8 else 257)

    def _to_channels(self, pixels: Pixels) -> Pixels:
        if pixels.shape[2] == 4 and self.channels != 4:
            pixels = flatten_alpha(pixels, self._background())
        if pixels.shape[2] == self.channels:
            return pixels
        if self.channels == 1:
            gray: Pixels = np.rint(pixels @ np.array(LUMA))[..., None].astype(pixels.dtype)
            return gray
        if pixels.shape[2] == 1:
            pixels = np.repeat(pixels, 3, axis=2)
        if self.channels == 4:
            opaque = np.full_like(pixels[..., :1], np.iinfo(pixels.dtype).max)
            pixels = np.concatenate([pixels, opaque], axis=2)
        return pixels

    def _to_size(self, pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        if (height, width) == (self.height, self.width):
            return pixels
        if self.resize == "none":
            raise Undecodable(
                f"is {height} x {width} (height x width), not {self.height} x {self.width}; set "
                f"data.resolution, and data.resize to crop, fit, pad or stretch"
            )
        if self.resize == "pad" and (height > self.height or width > self.width):
            raise Undecodable(
                f"is {height} x {width}, too large to pad to {self.height} x {self.width}; set "
                f"data.resize to crop or fit, or a larger data.resolution"
            )
        if self.resize == "stretch":
            return scale(pixels, self.height, self.width)
        if self.resize != "pad":
            ratios = (self.height / height, self.width / width)
            ratio = max(ratios) if self.resize == "crop" else min(ratios)
            pixels = scale(pixels, max(1, round(height * ratio)), max(1, round(width * ratio)))
        if self.resize == "crop":
            top, left = (pixels.shape[0] - self.height) // 2, (pixels.shape[1] - self.width) // 2
            return pixels[top : top + self.height, left : left + self.width]
        return self._pad(pixels)

    def _pad(self, pixels: Pixels) -> Pixels:
        height, width, channels = pixels.shape
        color = self._background()
        # Padding of an image with alpha is transparent.
        fill = color @ np.array(LUMA) if channels == 1 else np.append(color, 0.0)[:channels]
        canvas = np.empty((self.height, self.width, channels), dtype=pixels.dtype)
        canvas[...] = np.rint(fill)
        top, left = (self.height - height) // 2, (self.width - width) // 2
        canvas[top : top + height, left : left + width] = pixels
        return canvas


def flatten_alpha(pixels: Pixels, background: NDArray[np.float64] | float) -> Pixels:
    """RGB of RGBA pixels over a background in units of their depth."""
    alpha = pixels[..., 3:] / np.iinfo(pixels.dtype).max
    flat: Pixels = np.rint(composite(pixels[..., :3], alpha, background)).astype(pixels.dtype)
    return flat


def scale(pixels: Pixels, height: int, width: int) -> Pixels:
    """Lanczos resampling with anti-aliasing; colors are weighted by alpha."""
    if pixels.shape[:2] == (height, width):
        return pixels
    if pixels.dtype == np.uint16:
        return _scale16(pixels, height, width)
    # PIL premultiplies RGBA itself when it resamples.
    img = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    scaled = np.asarray(img.resize((width, height), Image.Resampling.LANCZOS))
    return scaled.reshape(height, width, pixels.shape[2])


def _scale16(pixels: Pixels, height: int, width: int) -> Pixels:
    """PIL resamples 16 bits only as one float channel at a time."""
    values = pixels.astype(np.float32)
    if values.shape[2] == 4:
        values[..., :3] *= values[..., 3:] / 65535
    size = (width, height)
    planes = [Image.fromarray(values[..., c]) for c in range(values.shape[2])]
    resized = [np.asarray(plane.resize(size, Image.Resampling.LANCZOS)) for plane in planes]
    scaled = np.stack(resized, axis=2)
    if scaled.shape[2] == 4:
        scaled[..., :3] /= np.maximum(scaled[..., 3:] / 65535, _PREMULTIPLIED_MIN)
    rounded: Pixels = np.rint(scaled).clip(0, 65535).astype(np.uint16)
    return rounded
