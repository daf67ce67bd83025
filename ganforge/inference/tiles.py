"""Translates images larger than memory in overlapping tiles, blended where they meet."""

import functools
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ganforge.errors import ConfigError
from ganforge.interfaces.architecture import Architecture

log = logging.getLogger(__name__)

DEFAULT_OVERLAP = 32
Window = tuple[slice, slice]
"""Rows and columns."""


@dataclass(frozen=True)
class Tiling:
    """Square tiles that cover an image.

    Attributes:
        side: height and width of a tile, a multiple of `stride`.
        overlap: pixels that neighbors share, at least.
        stride: of the architecture: tiles start at multiples of it, so that its layers of lower
            resolution see the same grid in all tiles.
    """

    side: int
    overlap: int
    stride: int

    def windows(self, height: int, width: int) -> Iterator[Window]:
        """The tiles of an image, whose sides are multiples of the stride, row by row."""
        for top in self._starts(height):
            for left in self._starts(width):
                yield slice(top, top + self.side), slice(left, left + self.side)

    def _starts(self, length: int) -> list[int]:
        step = max(self.stride, (self.side - self.overlap) // self.stride * self.stride)
        last = max(0, length - self.side)
        return [*range(0, last, step), last]

    def translate(self, source: Tensor, translate: Callable[[Window], Tensor]) -> Tensor:
        """The translations [N, C, H, W] of images [N, c, H, W].

        Args:
            source: gives the size; both sides are multiples of the stride.
            translate: the translations of a window of the images.
        """
        height, width = source.shape[-2:]
        total = torch.zeros(height, width)
        img = source.new_zeros(0)
        for window in self.windows(height, width):
            made = translate(window)
            if not len(img):
                img = made.new_zeros(*made.shape[:-2], height, width)
            weight = self._weight(window[0], height)[:, None] * self._weight(window[1], width)
            img[(..., *window)] += made * weight
            total[window] += weight
        return img / total

    def _weight(self, part: slice, length: int) -> Tensor:
        """Weights along one side of a tile: they rise from its borders inside of the image.

        The pixels nearest to such a border, a quarter of the overlap, do not count: what is beyond
        it is missing for them. The neighbor has them farther inside.
        """
        stop = min(part.stop, length)
        weight = torch.ones(stop - part.start)
        margin = self.overlap // 4
        ramp = (torch.arange(self.overlap) + 0.5 - margin) / max(1, self.overlap - 2 * margin)
        ramp = ramp.clamp(0, 1)
        if part.start > 0:
            weight[: self.overlap] *= ramp
        if stop < length:
            weight[len(weight) - self.overlap :] *= ramp.flip(0)
        return weight


def resolve_tiling(
    architecture: Architecture[Any], tile: int | None, overlap: int | None
) -> Tiling | None:
    """Check `tile` and `overlap` of a translation; None if images are translated whole.

    A tile that is smaller than what a pixel depends on is warned of.

    Raises:
        ConfigError: they are out of range, or the architecture does not translate in tiles.
    """
    if tile is None:
        if overlap is not None:
            raise ConfigError(f"overlap={overlap} is for tiles. Pass tile too, e.g. tile=512.")
        return None
    stride = architecture.stride
    if stride is None or architecture.is_video:
        what = "video" if architecture.is_video else "images of one size"
        raise ConfigError(
            f"tile={tile}: '{architecture.name}' translates {what}, which cannot be cut into tiles."
            f" Leave tile out."
        )
    if tile < stride or tile % stride:
        near = max(1, round(tile / stride)) * stride
        raise ConfigError(
            f"tile={tile} must be a multiple of {stride}, the stride of '{architecture.name}'. "
            f"Use {near}."
        )
    if overlap is None:
        overlap = min(DEFAULT_OVERLAP, tile // 2)
    if not 0 <= overlap <= tile // 2:
        raise ConfigError(
            f"overlap={overlap} is out of range: neighbors of tile={tile} share 0 to {tile // 2} "
            f"pixels."
        )
    field = architecture.receptive_field
    if field is not None and tile < field:
        _warn(architecture.name, tile, field)
    return Tiling(tile, overlap, stride)


@functools.cache  # once, although images are translated in many batches
def _warn(name: str, tile: int, field: int) -> None:
    log.warning(
        "tile=%d is smaller than the %d pixels around a pixel that '%s' looks at: tiles may differ "
        "from the whole image. Use larger tiles if memory allows.",
        tile,
        field,
        name,
    )
