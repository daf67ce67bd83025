"""Edges as thin lines. Source: Canny 1986, doi:10.1109/TPAMI.1986.4767851.

Legend: H, W size; P = (H + 2)(W + 2) pixels of a map with a border of one pixel, flattened.
"""

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ganforge.config.base import StrictModel
from ganforge.data.derivations.gray import brightness
from ganforge.interfaces.derivation import Derivation, Floats

Places = NDArray[np.intp]
# tan(22.5 degrees): where one of the four directions to the neighbors ends.
_STEEP = math.sqrt(2) - 1
_REACH = 3.0


class EdgesConfig(StrictModel):
    """Options of `edges`."""

    sigma: float = Field(
        1.0, ge=0, le=16, description="Gaussian blur before edges are found, in pixels."
    )
    thresholds: tuple[float, float] = Field(
        (0.1, 0.2),
        description="Contrast at which an edge continues, and at which it starts; a step from "
        "black to white is 1.",
    )
    lines: Literal["black", "white"] = Field(
        "black", description="Color of the lines; the background has the other."
    )

    @model_validator(mode="after")
    def _rises(self) -> "EdgesConfig":
        low, high = self.thresholds
        if not 0 < low <= high <= 1:
            raise ValueError(
                f"thresholds must be two numbers above 0 up to 1, the first not larger, "
                f"got {self.thresholds}"
            )
        return self


class Edges(Derivation[EdgesConfig]):
    """Thin lines where the brightness changes: Canny's edges, one channel."""

    name, Config = "edges", EdgesConfig

    def channels(self, channels: int) -> int:
        """One."""
        return 1

    def derive(self, img: Floats, seed: int, frame: int = 0) -> Floats:
        """Draw the lines, without shades of gray."""
        low, high = self.config.thresholds
        found = canny(brightness(img)[..., 0], self.config.sigma, low, high)
        is_bright = found if self.config.lines == "white" else ~found
        return is_bright.astype(np.float32)[..., None]


def canny(gray: Floats, sigma: float, low: float, high: float) -> NDArray[np.bool_]:
    """Edges of an image [H, W] in [0, 1]: lines one pixel wide, [H, W].

    Args:
        gray: the image.
        sigma: standard deviation of the blur, in pixels.
        low: contrast at which an edge continues.
        high: contrast at which it starts.
    """
    height, width = gray.shape
    weights = _gaussian(sigma)
    down, right = _gradient(_blur(gray, weights))
    # A straight step of height s has the contrast s.
    scale = 2 / (weights[0] + weights[1])
    contrast = scale * np.sqrt(down * down + right * right)
    bordered = np.pad(contrast, 1).ravel()
    places = _thin(bordered, np.pad(down, 1).ravel(), np.pad(right, 1).ravel(), low, width + 2)
    lines = _connected(places, bordered, high, width + 2)
    return lines.reshape(height + 2, width + 2)[1:-1, 1:-1]


def _gaussian(sigma: float) -> Floats:
    """The right half of a Gaussian kernel, at 0, 1, ... pixels; the whole has the sum 1."""
    reach = max(1, math.ceil(_REACH * sigma))
    if sigma == 0:
        return np.array([1, 0], dtype=np.float32)
    half = np.exp(-0.5 * (np.arange(reach + 1) / sigma) ** 2)
    weights: Floats = (half / (2 * half.sum() - 1)).astype(np.float32)
    return weights


def _blur(gray: Floats, weights: Floats) -> Floats:
    """Convolve rows and columns with a symmetric kernel, given by its right half."""
    reach = len(weights) - 1
    if not weights[1:].any():
        return gray
    for _ in range(2):
        # Each pass blurs along the first axis, and transposes.
        size = len(gray)
        padded = np.pad(gray, ((reach, reach), (0, 0)), mode="edge")
        blurred = padded[reach : reach + size] * weights[0]
        for offset in range(1, reach + 1):
            pair = padded[reach - offset :][:size] + padded[reach + offset :][:size]
            pair *= weights[offset]
            blurred += pair
        gray = np.ascontiguousarray(blurred.T)
    return gray


def _gradient(gray: Floats) -> tuple[Floats, Floats]:
    """Change of brightness per pixel downwards and to the right (Sobel's filter), [H, W] each."""
    padded = np.pad(gray, 1, mode="edge")
    rows = padded[2:] - padded[:-2]
    columns = padded[:, 2:] - padded[:, :-2]
    down = rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]
    right = columns[:-2] + 2 * columns[1:-1] + columns[2:]
    return down / 8, right / 8


def _thin(contrast: Floats, down: Floats, right: Floats, low: float, width: int) -> Places:
    """The pixels at or above `low` that no neighbor across the edge surpasses.

    All maps are flattened, [P].
    """
    places = np.flatnonzero(contrast >= low)
    down, right = down[places], right[places]
    flat, steep = np.abs(down), np.abs(right)
    slope = np.where((down > 0) == (right > 0), 1, -1)
    across = width + slope
    across[flat <= _STEEP * steep] = 1
    across[steep <= _STEEP * flat] = width
    here = contrast[places]
    # One comparison is strict: of two equal neighbors one is kept.
    keep = (here > contrast[places - across]) & (here >= contrast[places + across])
    kept: Places = places[keep]
    return kept


def _connected(places: Places, contrast: Floats, high: float, width: int) -> NDArray[np.bool_]:
    """The thin pixels that a path of thin pixels joins to one at or above `high`, [P]."""
    waiting = np.zeros(len(contrast), dtype=np.bool_)
    waiting[places] = True
    found = np.zeros_like(waiting)
    neighbors = np.array([y * width + x for y in (-1, 0, 1) for x in (-1, 0, 1) if y or x])
    front: NDArray[Any] = places[contrast[places] >= high]
    while len(front):
        found[front], waiting[front] = True, False
        near = (front[:, None] + neighbors).ravel()
        front = np.unique(near[waiting[near]])
    return found
