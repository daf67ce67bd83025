"""Blurred images of a low resolution, for super-resolution.

Source: Dong et al. 2014, arXiv:1501.00092 (bicubic enlargement first, so that both images have
one size).
"""

import numpy as np
from PIL import Image
from pydantic import Field

from ganforge.config.base import StrictModel
from ganforge.errors import ConfigError
from ganforge.interfaces.derivation import Derivation, Floats


class LowResolutionConfig(StrictModel):
    """Options of `low_resolution`."""

    factor: float = Field(4.0, gt=1, le=64, description="Reduction of each side.")


class LowResolution(Derivation[LowResolutionConfig]):
    """The image reduced and enlarged again: for adding detail to small images."""

    name, Config = "low_resolution", LowResolutionConfig

    def check(self, height: int, width: int) -> None:
        """Refuse a factor that leaves a single pixel: the source would be one color."""
        if max(height, width) < 1.5 * self.config.factor:
            raise ConfigError(
                f"data.derive: 'low_resolution' with factor={self.config.factor:g} makes one pixel "
                f"of an image of {height}x{width}, so that nothing is left to translate. Use a "
                f"smaller factor."
            )

    def derive(self, img: Floats, seed: int, frame: int = 0) -> Floats:
        """Reduce, then enlarge to the same size; bicubic both times."""
        height, width = img.shape[:2]
        factor = self.config.factor
        small = bicubic(img, max(1, round(height / factor)), max(1, round(width / factor)))
        return bicubic(small, height, width)

    def from_input(self, img: Floats, alpha: Floats | None, seed: int, frame: int = 0) -> Floats:
        """The image enlarged by `factor`: the result is larger than the image."""
        height, width = img.shape[:2]
        factor = self.config.factor
        return bicubic(img, round(height * factor), round(width * factor))

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        """The size before it is enlarged."""
        return round(height / self.config.factor), round(width / self.config.factor)


def bicubic(img: Floats, height: int, width: int) -> Floats:
    """Resample [H, W, C] in [0, 1] to a size, anti-aliased where it shrinks."""
    # Pillow resamples floats one channel at a time; its result does not depend on threads.
    planes = [Image.fromarray(np.ascontiguousarray(plane)) for plane in np.moveaxis(img, 2, 0)]
    size, method = (width, height), Image.Resampling.BICUBIC
    resized = np.stack([np.asarray(plane.resize(size, method)) for plane in planes], axis=2)
    return np.clip(resized, 0, 1, out=resized)
