"""Points in images, boxes and keypoints, follow resizing, crops and mirroring.

Coordinates are continuous: the pixel in column j covers the interval from j to j + 1, so that its
center is at j + 0.5 and an image of width W ends at W. A mirror therefore takes x to W - x, for
corners of boxes and for keypoints alike. Points outside the crop stay outside; none is dropped.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganforge.config.data import Coordinates
from ganforge.data.views import Size
from ganforge.imaging.resize import ImageForm

Points = NDArray[np.floating[Any]]
"""[..., D]: the numbers of all points of an image, one after the other."""
POINT_SIZES: Mapping[Coordinates, int] = {"xyxy": 4, "xywh": 4, "xy": 2, "xyv": 3}
"""How many numbers make a point or a box."""
# Columns of x and of y.
_POSITIONS: Mapping[Coordinates, tuple[list[int], list[int]]] = {
    "xyxy": ([0, 2], [1, 3]),
    "xywh": ([0], [1]),
    "xy": ([0], [1]),
    "xyv": ([0], [1]),
}


def move_points(
    points: Points,
    kind: Coordinates,
    factors: tuple[float, float],
    offsets: tuple[float, float] = (0, 0),
) -> Points:
    """The points of an image that is scaled by `factors`, then moved by `offsets`, both (y, x)."""
    rows = _rows(points, kind)
    moved = rows.copy()
    for columns, factor, offset in zip(
        _POSITIONS[kind], reversed(factors), reversed(offsets), strict=True
    ):
        moved[..., columns] = rows[..., columns] * factor + offset
    if kind == "xywh":
        moved[..., 2] *= factors[1]
        moved[..., 3] *= factors[0]
    return _visible(moved, rows, kind).reshape(points.shape)


def place_points(points: Points, kind: Coordinates, form: ImageForm, size: Size) -> Points:
    """The points of an image of a (height, width) that is brought into a form.

    Raises:
        Undecodable: the image does not fit the form.
    """
    place = form.place(*size)
    factors = place.height / size[0], place.width / size[1]
    return move_points(points, kind, factors, (place.top, place.left))


def crop_points(points: Points, kind: Coordinates, region: Sequence[int], size: Size) -> Points:
    """The points in a region (top, left, height, width) that is scaled to `size`."""
    top, left, height, width = region
    factors = size[0] / height, size[1] / width
    return move_points(points, kind, factors, (-top * factors[0], -left * factors[1]))


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
    return points.reshape(*points.shape[:-1], -1, POINT_SIZES[kind])


def _visible(moved: Points, rows: Points, kind: Coordinates) -> Points:
    """The moved points; keypoints that are not visible keep their numbers, usually 0."""
    return np.where(rows[..., 2:] == 0, rows, moved) if kind == "xyv" else moved
