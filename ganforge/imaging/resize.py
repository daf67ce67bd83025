"""Channels and size: how `prepare` makes all images alike. Pixels are arrays [H, W, C]."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ganforge.imaging.codec import MODES, Pixels, Undecodable

ResizePolicy = Literal["none", "pad", "crop", "fit", "stretch"]
_LUMA = np.array([299, 587, 114], dtype=np.float64) / 1000
"""ITU-R BT.601, as in Pillow's conversion to grey."""


@dataclass(frozen=True)
class ImageForm:
    """The form that all images of a field are given.

    Attributes:
        height: pixels.
        width: pixels.
        channels: 1, 3 or 4.
        bit_depth: 8 or 16.
        resize: how the size is reached, as in `data.resize`.
        background: RGB 0 to 255, under transparency and as padding.
    """

    height: int
    width: int
    channels: int
    bit_depth: int
    resize: ResizePolicy
    background: tuple[int, int, int]

    def apply(self, pixels: Pixels) -> Pixels:
        """The image in this form.

        Raises:
            Undecodable: it does not fit: more bits, another size with `none`, too large for `pad`.
        """
        pixels = self._to_depth(pixels)
        pixels = self._to_channels(pixels)
        return np.ascontiguousarray(self._to_size(pixels))

    @property
    def _white(self) -> int:
        return 255 if self.bit_depth == 8 else 65535

    def _colour(self) -> NDArray[np.float64]:
        """The background in units of this depth: [3]."""
        return np.array(self.background, dtype=np.float64) * (self._white // 255)

    def _to_depth(self, pixels: Pixels) -> Pixels:
        if pixels.dtype == np.uint8 and self.bit_depth == 16:
            return pixels.astype(np.uint16) * 257
        if pixels.dtype == np.uint16 and self.bit_depth == 8:
            raise Undecodable(
                "has 16 bits per channel, the images before it have 8; make them alike"
            )
        return pixels

    def _to_channels(self, pixels: Pixels) -> Pixels:
        if pixels.shape[2] == 4 and self.channels != 4:
            pixels = self._composite(pixels)
        found = pixels.shape[2]
        if found == self.channels:
            return pixels
        if self.channels == 1:
            return np.rint(pixels @ _LUMA)[..., None].astype(pixels.dtype)
        if found == 1:
            pixels = np.repeat(pixels, 3, axis=2)
        if self.channels == 4:
            opaque = np.full_like(pixels[..., :1], self._white)
            pixels = np.concatenate([pixels, opaque], axis=2)
        return pixels

    def _composite(self, pixels: Pixels) -> Pixels:
        alpha = pixels[..., 3:].astype(np.float64) / self._white
        blended = pixels[..., :3] * alpha + self._colour() * (1 - alpha)
        return np.rint(blended).astype(pixels.dtype)

    def _to_size(self, pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        if (height, width) == (self.height, self.width):
            return pixels
        wanted = f"{self.height} x {self.width}"
        if self.resize == "none":
            raise Undecodable(
                f"is {height} x {width} (height x width), not {wanted}; set data.resolution, and "
                f"data.resize to crop, fit, pad or stretch"
            )
        if self.resize == "pad":
            if height > self.height or width > self.width:
                raise Undecodable(
                    f"is {height} x {width}, too large to pad to {wanted}; set data.resize to "
                    f"crop or fit, or a larger data.resolution"
                )
            return self._pad(pixels)
        if self.resize == "stretch":
            return scale(pixels, self.height, self.width)
        ratios = (self.height / height, self.width / width)
        ratio = max(ratios) if self.resize == "crop" else min(ratios)
        scaled = scale(pixels, max(1, round(height * ratio)), max(1, round(width * ratio)))
        return self._crop(scaled) if self.resize == "crop" else self._pad(scaled)

    def _crop(self, pixels: Pixels) -> Pixels:
        top = (pixels.shape[0] - self.height) // 2
        left = (pixels.shape[1] - self.width) // 2
        return pixels[top : top + self.height, left : left + self.width]

    def _pad(self, pixels: Pixels) -> Pixels:
        height, width, channels = pixels.shape
        colour = self._colour()
        if channels == 1:
            fill = colour @ _LUMA
        else:
            # Padding of an image with alpha is transparent.
            fill = np.append(colour, 0.0)[:channels]
        canvas = np.empty((self.height, self.width, channels), dtype=pixels.dtype)
        canvas[...] = np.rint(fill)
        top, left = (self.height - height) // 2, (self.width - width) // 2
        canvas[top : top + height, left : left + width] = pixels
        return canvas


def scale(pixels: Pixels, height: int, width: int) -> Pixels:
    """Lanczos resampling with antialiasing; colours are weighted by alpha."""
    if pixels.shape[:2] == (height, width):
        return pixels
    if pixels.dtype == np.uint16:
        return _scale16(pixels, height, width)
    grey = pixels.shape[2] == 1
    img = Image.fromarray(pixels[..., 0] if grey else pixels, MODES[pixels.shape[2]])
    # Pillow premultiplies RGBA itself when it resamples.
    scaled = np.asarray(img.resize((width, height), Image.Resampling.LANCZOS))
    return scaled[..., None] if grey else scaled


def _scale16(pixels: Pixels, height: int, width: int) -> Pixels:
    """Pillow resamples 16 bits only as one float channel at a time."""
    values = pixels.astype(np.float32)
    if values.shape[2] == 4:
        values[..., :3] *= values[..., 3:] / 65535
    planes = [
        np.asarray(
            Image.fromarray(values[..., c]).resize((width, height), Image.Resampling.LANCZOS)
        )
        for c in range(values.shape[2])
    ]
    scaled = np.stack(planes, axis=2)
    if scaled.shape[2] == 4:
        scaled[..., :3] /= np.maximum(scaled[..., 3:] / 65535, 1e-6)
    rounded: Pixels = np.rint(scaled).clip(0, 65535).astype(np.uint16)
    return rounded
