"""A derivation: posters with few shades of each color, to be translated back to photos."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganforge.api import ComponentOptions, Derivation, Field, hookimpl

Pixels = NDArray[np.floating[Any]]


class PosterizeConfig(ComponentOptions):
    """Options of posterize."""

    shades: tuple[int, int] = Field(
        (2, 6), description="Range of the shades of each color; each sample draws a number."
    )


class Posterize(Derivation[PosterizeConfig]):
    """Images with few shades of each color."""

    name, Config = "posterize", PosterizeConfig

    def derive(self, img: Pixels, seed: int, frame: int = 0) -> Pixels:
        """Round [H, W, C] in [0, 1] to the nearest shade; all frames of a clip have the same."""
        low, high = self.config.shades
        steps = np.float32(np.random.default_rng(seed).integers(low, high + 1) - 1)
        poster: Pixels = np.rint(img * steps) / steps
        return poster

    def from_input(self, img: Pixels, alpha: Pixels | None, seed: int, frame: int = 0) -> Pixels:
        """Take the image of a user as it is: it is a poster."""
        return img


@hookimpl
def ganforge_derivations() -> list[type[Derivation[Any]]]:
    """Register posterize."""
    return [Posterize]
