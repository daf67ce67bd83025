"""Mosaics: each block of pixels has its mean color."""

import numpy as np
from pydantic import Field

from ganforge.config.base import StrictModel
from ganforge.errors import ConfigError
from ganforge.interfaces.derivation import Derivation, Floats


class BlocksConfig(StrictModel):
    """Options of `blocks`."""

    size: int = Field(8, ge=2, le=1024, description="Side of a block, in pixels.")


class Blocks(Derivation[BlocksConfig]):
    """A mosaic of square blocks of one color."""

    name, Config = "blocks", BlocksConfig

    def check(self, height: int, width: int) -> None:
        """Refuse blocks that cover the image: its source would be one color."""
        if self.config.size >= max(height, width):
            raise ConfigError(
                f"data.derive: 'blocks' with size={self.config.size} makes one color of an image "
                f"of {height}x{width}, so that nothing is left to translate. Use smaller blocks."
            )

    def derive(self, img: Floats, seed: int, frame: int = 0) -> Floats:
        """Average over blocks from the top left; those at the other borders may be smaller."""
        mosaic = img
        for axis in (0, 1):
            starts = np.arange(0, img.shape[axis], self.config.size)
            sizes = np.diff(starts, append=img.shape[axis])
            shape = (-1, 1, 1) if axis == 0 else (1, -1, 1)
            mosaic = np.add.reduceat(mosaic, starts, axis) / sizes.reshape(shape).astype(np.float32)
        height, width = img.shape[:2]
        mosaic = mosaic.repeat(self.config.size, axis=1)[:, :width]
        return mosaic.repeat(self.config.size, axis=0)[:height]

    def from_input(self, img: Floats, alpha: Floats | None, seed: int, frame: int = 0) -> Floats:
        """The image as it is: it is a mosaic already."""
        return img
