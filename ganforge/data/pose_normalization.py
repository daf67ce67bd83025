"""Fits the poses of one person to the place and height of another in the picture.

Source: Chan et al. 2019, arXiv:1808.07371, appendix: a translation by the row of the ankles and a
scale by the height, both linear in how far away the person is. Shapes: T frames, J joints.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ganforge.errors import DataError
from ganforge.imaging.pose_layouts import PoseLayout, pose_layout
from ganforge.interfaces.source import Poses

_NEAR_SHARE = 0.1
"""Frames that count as closest or farthest: this share of the way between the two."""
_LEAST_WAY = 0.05
"""Way of the ankles, as a share of the height, below which a person stays at one distance."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Stance:
    """Where a person stands and how tall that is, in pixels.

    Attributes:
        near: row of the ankles where the person is closest.
        far: the same where the person is farthest.
        near_height: from the ankles to the nose where the person is closest.
        far_height: the same where the person is farthest.
        column: mean column of the ankles.
    """

    near: float
    far: float
    near_height: float
    far_height: float
    column: float

    def share(self, rows: Values) -> Values:
        """How close the person is with the ankles in these rows: 0 farthest, 1 closest."""
        way = self.near - self.far
        if way < _LEAST_WAY * self.near_height:
            return np.full(len(rows), 0.5)
        return (rows - self.far) / way

    def row(self, share: Values) -> Values:
        """Rows of the ankles of a person that is so close."""
        return self.far + share * (self.near - self.far)


def normalize_poses(source: Poses, target: Poses, where: tuple[Path, Path]) -> Poses:
    """The poses of `source`, as tall and in the place as `target`, in pixels of its frames.

    Args:
        source: of the person that moves.
        target: of the person that a model was trained on.
        where: files of both, for messages.

    Raises:
        DataError: they have different layouts, or the ankles or the nose are never seen.
    """
    layouts = [pose_layout(poses.points.shape[1]) for poses in (source, target)]
    if layouts[0] is None or layouts[0] != layouts[1]:
        names = [layout.name if layout else "unknown" for layout in layouts]
        raise DataError(
            f"{where[0]} is {names[0]}, but {where[1]} is {names[1]}. A model takes the layout of "
            f"its training: find the keypoints of both with one estimator."
        )
    joints = _joints(source)
    ankles = _ankles(joints, layouts[0], where[0])
    before = _stance(joints, layouts[0], where[0])
    after = _stance(_joints(target), layouts[0], where[1])
    share = before.share(ankles[:, 1])
    far, near = (
        after.far_height / before.far_height,
        after.near_height / before.near_height,
    )
    scale = far + share * (near - far)
    column = after.column + scale * (ankles[:, 0] - before.column)
    place = np.stack([column, after.row(share)], axis=1)
    moved = scale[:, None, None] * (joints[..., :2] - ankles[:, None]) + place[:, None]
    fitted = np.concatenate([moved, joints[..., 2:]], axis=2) * (joints[..., 2:] > 0)
    return Poses(fitted.reshape(len(fitted), -1).astype(np.float32), target.frame_size)


def _joints(poses: Poses) -> Values:
    return poses.points.astype(np.float64).reshape(len(poses), -1, 3)


def _ankles(joints: Values, layout: PoseLayout, where: Path) -> Values:
    """[T, 2] mean of the ankles; between and beyond the frames that show one, interpolated."""
    pair = joints[:, layout.indices("left_ankle", "right_ankle")]
    weight = (pair[..., 2:] > 0).astype(np.float64)
    seen = weight.any(axis=(1, 2))
    if not seen.any():
        raise DataError(
            f"{where} shows the ankles in no frame, which say where a person stands. Use a video "
            f"of the whole body."
        )
    found = (pair[..., :2] * weight).sum(1) / weight.sum(1).clip(min=1)
    times = np.arange(len(joints))
    return np.stack([np.interp(times, times[seen], found[seen, axis]) for axis in (0, 1)], axis=1)


def _stance(joints: Values, layout: PoseLayout, where: Path) -> Stance:
    ankles, nose = _ankles(joints, layout, where), joints[:, layout.joints.index("nose")]
    rows = ankles[:, 1]
    near = float(rows.max())
    # A jump is higher up than the floor is far: as far from the median as the closest row at most.
    far = max(float(rows.min()), 2 * float(np.median(rows)) - near)
    is_seen = nose[:, 2] > 0
    heights = np.where(is_seen, rows - nose[:, 1], 0)
    margin = _NEAR_SHARE * (near - far) + 1
    tall = [float(heights[np.abs(rows - row) <= margin].max(initial=0)) for row in (near, far)]
    tall = [height if height > 0 else float(heights.max()) for height in tall]
    if min(tall) <= 0:
        raise DataError(
            f"{where} shows no frame with the nose above the ankles, which say how tall a person "
            f"is. Use a video of the whole body."
        )
    return Stance(near, far, tall[0], tall[1], float(ankles[:, 0].mean()))
