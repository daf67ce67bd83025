"""The layouts of poses: what their joints are, and which of them limbs connect.

A pose of J joints is 3 J numbers: x, y and confidence of each, which is 0 for a missing joint.
"""

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass

POSE_CHANNELS = 3
"""Channels of a drawn skeleton."""
Pairs = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class PoseLayout:
    """What the joints of a pose are."""

    name: str
    joints: tuple[str, ...]
    limbs: Pairs
    """The joints that a line connects; later limbs are drawn over earlier ones."""

    @property
    def size(self) -> int:
        """Numbers of a pose: x, y and confidence of each joint."""
        return 3 * len(self.joints)

    def indices(self, *joints: str) -> list[int]:
        """Numbers of joints, by name."""
        return [self.joints.index(joint) for joint in joints]

    @property
    def swap(self) -> Pairs:
        """Pairs of joints that change places in a mirror."""
        names = [joint for joint in self.joints if joint.startswith("left_")]
        pairs = ((name, name.replace("left_", "right_")) for name in names)
        return tuple((self.joints.index(left), self.joints.index(right)) for left, right in pairs)

    @property
    def colors(self) -> list[tuple[float, float, float]]:
        """RGB of each limb in [0, 1]: hues around the circle."""
        count = len(self.limbs)
        return [colorsys.hsv_to_rgb(number / count, 1.0, 1.0) for number in range(count)]


def _layout(name: str, joints: str, limbs: str) -> PoseLayout:
    found = tuple(joints.split())
    pairs = (limb.split("-") for limb in limbs.split())
    return PoseLayout(name, found, tuple((found.index(a), found.index(b)) for a, b in pairs))


COCO_17 = _layout(
    "COCO-17",
    "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow "
    "right_elbow left_wrist right_wrist left_hip right_hip left_knee right_knee left_ankle "
    "right_ankle",
    "left_hip-right_hip left_shoulder-left_hip right_shoulder-right_hip "
    "left_shoulder-right_shoulder left_hip-left_knee left_knee-left_ankle right_hip-right_knee "
    "right_knee-right_ankle left_ear-left_shoulder right_ear-right_shoulder nose-left_eye "
    "nose-right_eye left_eye-left_ear right_eye-right_ear left_shoulder-left_elbow "
    "left_elbow-left_wrist right_shoulder-right_elbow right_elbow-right_wrist",
)
OPENPOSE_25 = _layout(
    "OpenPose-25",
    "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist mid_hip "
    "right_hip right_knee right_ankle left_hip left_knee left_ankle right_eye left_eye right_ear "
    "left_ear left_big_toe left_small_toe left_heel right_big_toe right_small_toe right_heel",
    "neck-mid_hip mid_hip-left_hip mid_hip-right_hip left_hip-left_knee left_knee-left_ankle "
    "right_hip-right_knee right_knee-right_ankle left_ankle-left_heel left_ankle-left_big_toe "
    "left_big_toe-left_small_toe right_ankle-right_heel right_ankle-right_big_toe "
    "right_big_toe-right_small_toe neck-left_shoulder neck-right_shoulder neck-nose nose-left_eye "
    "nose-right_eye left_eye-left_ear right_eye-right_ear left_shoulder-left_elbow "
    "left_elbow-left_wrist right_shoulder-right_elbow right_elbow-right_wrist",
)
LAYOUTS: Sequence[PoseLayout] = (COCO_17, OPENPOSE_25)


def pose_layout(size: int) -> PoseLayout | None:
    """The layout of a pose of `size` numbers: 51 are COCO-17, 75 OpenPose-25; None for others."""
    return next((layout for layout in LAYOUTS if layout.size == size), None)
