"""Points in images, boxes and keypoints, follow crops and mirroring.

Coordinates are continuous: the pixel in column j covers the interval from j to j + 1, so that its
center is at j + 0.5 and an image of width W ends at W. A mirror therefore takes x to W - x, for
corners of boxes and for keypoints alike. Points outside the crop stay outside; none is dropped.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganforge.config.data import Coordinates
from ganforge.data.views import Size

Points = NDArray[np.floating[Any]]
"""[..., D]: the numbers of all points of an image, one after the other."""
NUMBERS: dict[Coordinates, int] = {"xyxy": 4, "xywh": 4, "xy": 2, "xyv": 3}
"""Numbers per point."""
_AXES: dict[Coordinates, tuple[int, ...]] = {
    "xyxy": (1, 0, 1, 0),
    "xywh": (1, 0),
    "xy": (1, 0),
    "xyv": (1, 0),
}
"""Axis of the leading numbers of a point, which say where it is: 0 for y, 1 for x."""


def crop_points(points: Points, kind: Coordinates, region: Sequence[int], size: Size) -> Points:
    """The points in a region (top, left, height, width) that is scaled to `size`."""
    corner, sides = region[:2], region[2:]
    factors = [new / old for new, old in zip(size, sides, strict=True)]
    rows = _rows(points, kind)
    moved = rows.copy()
    for number, axis in enumerate(_AXES[kind]):
        moved[..., number] = (rows[..., number] - corner[axis]) * factors[axis]
    if kind == "xywh":
        moved[..., 2:] = rows[..., 2:] * np.array(factors[::-1], dtype=rows.dtype)
    return _visible(moved, rows, kind).reshape(points.shape)


def mirror_points(
    points: Points, kind: Coordinates, width: int, swap: Sequence[tuple[int, int]] = ()
) -> Points:
    """The points of the image mirrored left to right; pairs in `swap` change places.

    A swap keeps what a point means: the left eye of a mirrored face was its right eye.
    """
    rows = _rows(points, kind)
    moved = rows.copy()
    if kind == "xyxy":
        moved[..., 0], moved[..., 2] = width - rows[..., 2], width - rows[..., 0]
    elif kind == "xywh":
        moved[..., 0] = width - rows[..., 0] - rows[..., 2]
    else:
        moved[..., 0] = width - rows[..., 0]
    moved = _visible(moved, rows, kind)
    for first, second in swap:
        moved[..., [first, second], :] = moved[..., [second, first], :]
    return moved.reshape(points.shape)


def _rows(points: Points, kind: Coordinates) -> Points:
    return points.reshape(*points.shape[:-1], -1, NUMBERS[kind])


def _visible(moved: Points, rows: Points, kind: Coordinates) -> Points:
    """The moved points; keypoints that are not visible keep their numbers, usually 0."""
    return np.where(rows[..., 2:] == 0, rows, moved) if kind == "xyv" else moved
