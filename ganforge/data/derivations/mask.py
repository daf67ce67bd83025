"""Images with a hole, for inpainting.

Source: Yu et al. 2018, arXiv:1806.03589 (free-form holes from brush strokes, and the mask as a
further channel). The mask is the opacity here, 0 in the hole, so that sources of RGB images are
RGBA images.
"""

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pydantic import Field, model_validator

from ganforge.config.base import StrictModel
from ganforge.errors import ConfigError
from ganforge.interfaces.derivation import Derivation, Floats

FILL = 0.5
_MAX_ASPECT = 2.0
_STROKE_POINTS = (3, 8)
# Relative to the shorter side of the image.
_BRUSH = (0.05, 0.12)
_STEP = (0.1, 0.3)
_MAX_TURN = 0.4 * math.pi


class MaskConfig(StrictModel):
    """Options of `mask`."""

    shape: Literal["box", "brush"] = Field(
        "brush", description="The hole: a rectangle, or strokes of a brush."
    )
    area: tuple[float, float] = Field(
        (0.1, 0.4), description="Range of the hole's share of the image; each sample draws one."
    )

    @model_validator(mode="after")
    def _rises(self) -> "MaskConfig":
        low, high = self.area
        if not 0 < low <= high <= 0.9:
            raise ValueError(f"area must be a rising range from above 0 to 0.9, got {self.area}")
        return self


class Mask(Derivation[MaskConfig]):
    """A random hole: the image, gray in the hole, and its opacity, 0 in the hole and else 1."""

    name, Config = "mask", MaskConfig

    def channels(self, channels: int) -> int:
        """One more than the image."""
        return channels + 1

    def derive(self, img: Floats, seed: int, frame: int = 0) -> Floats:
        """Cut a hole; that of all frames of a clip is the same."""
        rng = np.random.default_rng(seed)
        height, width = img.shape[:2]
        area = rng.uniform(*self.config.area)
        draw = _box if self.config.shape == "box" else _strokes
        return _with_hole(img, draw(height, width, area, rng))

    def from_input(self, img: Floats, alpha: Floats | None, seed: int, frame: int = 0) -> Floats:
        """Fill in what is transparent.

        Raises:
            ConfigError: the image has no transparency.
        """
        if alpha is None:
            raise ConfigError(
                "This model fills holes, but the image has no transparency to show where they are. "
                "Erase what is to be filled in, and save the image as an RGBA PNG."
            )
        return _with_hole(img, alpha[..., 0] < 1)


def _with_hole(img: Floats, hole: NDArray[np.bool_]) -> Floats:
    height, width, channels = img.shape
    source = np.empty((height, width, channels + 1), dtype=np.float32)
    np.copyto(source[..., :-1], img)
    np.copyto(source[..., :-1], FILL, where=hole[..., None])
    source[..., -1] = ~hole
    return source


def _box(height: int, width: int, area: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """A rectangle of this share of the image, at a random place, of a random aspect ratio."""
    stretch = _MAX_ASPECT ** rng.uniform(-0.5, 0.5)
    share = math.sqrt(area)
    # Where one side would be longer than the image, the other side makes up for it.
    tall = min(max(share * stretch, area), 1.0)
    rows = min(height, max(1, round(height * tall)))
    columns = min(width, max(1, round(width * area / tall)))
    top, left = rng.integers(height - rows + 1), rng.integers(width - columns + 1)
    hole = np.zeros((height, width), dtype=np.bool_)
    hole[top : top + rows, left : left + columns] = True
    return hole


def _strokes(height: int, width: int, area: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Strokes of a round brush until they cover this share of the image."""
    canvas = Image.new("L", (width, height))
    pen = ImageDraw.Draw(canvas)
    while True:
        _stroke(pen, height, width, rng)
        hole = np.asarray(canvas) > 0
        if np.count_nonzero(hole) >= area * hole.size:
            return hole


def _stroke(pen: ImageDraw.ImageDraw, height: int, width: int, rng: np.random.Generator) -> None:
    """A line with corners, each turn to the side opposite to the one before."""
    side = min(height, width)
    brush = max(1, round(side * rng.uniform(*_BRUSH)))
    x, y = rng.uniform(0, width), rng.uniform(0, height)
    angle = rng.uniform(0, 2 * math.pi)
    points = [(x, y)]
    for corner in range(rng.integers(*_STROKE_POINTS)):
        angle += rng.uniform(0, _MAX_TURN) * (-1) ** corner
        step = side * rng.uniform(*_STEP)
        x = min(max(x + step * math.cos(angle), 0), width)
        y = min(max(y + step * math.sin(angle), 0), height)
        points.append((x, y))
    pen.line(points, fill=255, width=brush)
    for x, y in points:
        pen.ellipse((x - brush / 2, y - brush / 2, x + brush / 2, y + brush / 2), fill=255)
