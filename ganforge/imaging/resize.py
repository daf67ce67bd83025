"""Channels, bits and size: how `prepare` makes all images alike. Pixels are arrays [H, W, C]."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ganforge.imaging.channels import LUMA, MODES, composite
from ganforge.imaging.codec import Pixels, Undecodable

_PREMULTIPLIED_MIN = 1e-6
ResizeMode = Literal["none", "pad", "crop", "fit", "stretch"]
"""How an image reaches another size; see `data.resize`."""


class Placement(NamedTuple):
    """Where a scaled image lies in the form: an offset is negative where its edge is cut off."""

    height: int
    width: int
    top: int
    left: int


@dataclass(frozen=True)
class ImageForm:
    """The form of all images, or of all label maps, of a field."""

    height: int
    width: int
    channels: int
    bit_depth: int
    """8 or 16."""
    resize: ResizeMode
    background: tuple[int, int, int]
    """RGB 0 to 255, under transparency and as padding. Label maps are padded with the id 0."""
    is_labels: bool = False
    """Whether pixels are ids, which are never mixed or scaled."""

    def apply(self, pixels: Pixels) -> Pixels:
        """The image in this form.

        Raises:
            Undecodable: it does not fit: more bits, another size with `none`, too large for `pad`,
                a number of channels that does not convert.
        """
        pixels = self._to_size(self._to_channels(self._to_bits(pixels)))
        return np.ascontiguousarray(pixels)

    def place(self, height: int, width: int) -> Placement:
        """Where an image of this size will lie.

        Raises:
            Undecodable: it must not be resized, or is too large to be padded.
        """
        if (height, width) == (self.height, self.width):
            return Placement(height, width, 0, 0)
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
            height, width = self.height, self.width
        elif self.resize != "pad":
            ratios = (self.height / height, self.width / width)
            ratio = max(ratios) if self.resize == "crop" else min(ratios)
            height, width = max(1, round(height * ratio)), max(1, round(width * ratio))
        top, left = _half(self.height - height), _half(self.width - width)
        return Placement(height, width, top, left)

    def _to_bits(self, pixels: Pixels) -> Pixels:
        if self.is_labels:
            return self._to_id_bits(pixels)
        if pixels.dtype == np.uint8 and self.bit_depth == 16:
            return pixels.astype(np.uint16) * 257
        if pixels.dtype == np.uint16 and self.bit_depth == 8:
            raise Undecodable(
                "has 16 bits per channel, the images before it have 8; make them alike"
            )
        return pixels

    def _to_id_bits(self, ids: Pixels) -> Pixels:
        if self.bit_depth == 8 and ids.max() > 255:
            raise Undecodable(
                f"holds the id {ids.max()}, the maps before it have 8 bits; set num_labels of this "
                f"field in data.fields: the number of classes, or 0 to keep ids as they are"
            )
        return ids.astype(np.uint8 if self.bit_depth == 8 else np.uint16, copy=False)

    def _background(self) -> NDArray[np.float64]:
        """The background in units of this depth: [3]."""
        return np.array(self.background, dtype=np.float64) * (1 if self.bit_depth == 8 else 257)

    def _to_channels(self, pixels: Pixels) -> Pixels:
        if pixels.shape[2] == self.channels:
            return pixels
        if pixels.shape[2] not in MODES or self.channels not in MODES:
            raise Undecodable(
                f"has {pixels.shape[2]} channels, not {self.channels}; only gray, RGB and RGBA "
                f"convert to each other. Set channels of this field in data.fields"
            )
        if pixels.shape[2] == 4:
            pixels = flatten_alpha(pixels, self._background())
        if self.channels == 1 and pixels.shape[2] == 3:
            gray: Pixels = np.rint(pixels @ np.array(LUMA))[..., None].astype(pixels.dtype)
            return gray
        if pixels.shape[2] == 1 and self.channels != 1:
            pixels = np.repeat(pixels, 3, axis=2)
        if self.channels == 4:
            opaque = np.full_like(pixels[..., :1], np.iinfo(pixels.dtype).max)
            pixels = np.concatenate([pixels, opaque], axis=2)
        return pixels

    def _to_size(self, pixels: Pixels) -> Pixels:
        place = self.place(*pixels.shape[:2])
        pixels = (scale_labels if self.is_labels else scale)(pixels, place.height, place.width)
        top, left = max(0, -place.top), max(0, -place.left)
        pixels = pixels[top : top + self.height, left : left + self.width]
        return self._pad(pixels, max(0, place.top), max(0, place.left))

    def _pad(self, pixels: Pixels, top: int, left: int) -> Pixels:
        height, width, channels = pixels.shape
        if (height, width) == (self.height, self.width):
            return pixels
        canvas = np.empty((self.height, self.width, channels), dtype=pixels.dtype)
        canvas[...] = self._fill(channels)
        canvas[top : top + height, left : left + width] = pixels
        return canvas

    def _fill(self, channels: int) -> NDArray[np.float64]:
        """The color of padding: [C]. With alpha it is transparent; of other channels it is 0."""
        if self.is_labels or channels not in MODES:
            return np.zeros(channels)
        color = self._background()
        fill = np.array([color @ np.array(LUMA)]) if channels == 1 else np.append(color, 0.0)
        rounded: NDArray[np.float64] = np.rint(fill[:channels])
        return rounded


def _half(free: int) -> int:
    """The offset that centers, rounded toward zero: as much is cut as is padded."""
    return int(free / 2)


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
    if pixels.shape[2] not in MODES:
        planes = [scale(pixels[..., c : c + 1], height, width) for c in range(pixels.shape[2])]
        return np.concatenate(planes, axis=2)
    # PIL premultiplies RGBA itself when it resamples.
    img = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    scaled = np.asarray(img.resize((width, height), Image.Resampling.LANCZOS))
    return scaled.reshape(height, width, pixels.shape[2])


def scale_labels(ids: Pixels, height: int, width: int) -> Pixels:
    """Nearest-neighbor resampling: the id at the center of each new pixel."""
    rows, columns = (
        ((np.arange(new) + 0.5) * (old / new)).astype(np.intp).clip(max=old - 1)
        for new, old in zip((height, width), ids.shape[:2], strict=True)
    )
    nearest: Pixels = ids[rows[:, None], columns]
    return nearest


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
