from pathlib import Path

import numpy as np
import pytest
from dancer import pose

from ganforge.data.pose_normalization import normalize_poses
from ganforge.errors import DataError
from ganforge.interfaces.source import Poses

WHERE = Path("source.json"), Path("target.json")


def walk(frames=21, floor=100.0, depth=30.0, unit=(2.0, 4.0), x=50.0, jump=0.0):
    """A person who comes closer: the ankles go down by `depth` and the size grows."""
    found = []
    for share in np.linspace(0, 1, frames):
        size = unit[0] + share * (unit[1] - unit[0])
        ankle = floor + share * depth
        found.append(pose(x + 5 * np.sin(7 * share), ankle - 7 * size, size, turn=share))
    found[frames // 2][:, 1] -= jump
    return poses(found)


def poses(found, size=None):
    points = np.stack(found).reshape(len(found), -1).astype(np.float32)
    return Poses(points, size)


def joints(found):
    return found.points.reshape(len(found), -1, 3)


def test_poses_of_one_person_are_not_changed():
    source = walk()
    found = normalize_poses(source, source, WHERE)
    np.testing.assert_allclose(found.points, source.points, atol=1e-3)


@pytest.mark.parametrize(("scale", "right", "down"), [(1.0, 30.0, -20.0), (2.5, -10.0, 60.0)])
def test_known_scale_and_translation_are_found(scale, right, down):
    source = walk()
    moved = joints(source).copy()
    moved[..., :2] = scale * moved[..., :2] + (right, down)
    target = poses(moved, (300, 400))
    found = normalize_poses(source, target, WHERE)
    np.testing.assert_allclose(found.points, target.points, atol=2e-3)
    assert found.frame_size == (300, 400)


def test_scale_is_interpolated_between_farthest_and_closest():
    source = walk(unit=(2.0, 4.0))
    target = walk(unit=(6.0, 4.0), floor=200, depth=80)
    found = joints(normalize_poses(source, target, WHERE))
    height = found[:, 15, 1] - found[:, 0, 1]
    assert height[[0, -1]].tolist() == pytest.approx([16 * 6, 16 * 4], rel=0.11)
    scale = height / (joints(source)[:, 15, 1] - joints(source)[:, 0, 1])
    np.testing.assert_allclose(np.diff(scale), np.diff(scale)[0], atol=1e-3)
    np.testing.assert_allclose(found[:, 15, 1], np.linspace(200, 280, 21), atol=1e-3)


def test_jump_does_not_count_as_far_away():
    found = normalize_poses(walk(jump=60), walk(), WHERE)
    feet = joints(found)[:, 15, 1]
    np.testing.assert_allclose(feet[[0, -1]], [100, 130], atol=4)
    assert feet[10] < 70, "the jump is still one"


def test_person_who_stays_at_one_distance_stands_in_the_middle_of_the_target():
    found = joints(normalize_poses(walk(depth=0, unit=(3, 3)), walk(floor=200), WHERE))
    np.testing.assert_allclose(found[:, 15, 1], 215, atol=1e-3)


def test_missing_joints_stay_missing_and_missing_ankles_are_interpolated():
    source = walk()
    points = joints(source).copy()
    points[4, [15, 16]] = 0
    points[7, 9] = 0
    found = joints(normalize_poses(poses(points), source, WHERE))
    assert not found[4, 15].any() and not found[7, 9].any()
    np.testing.assert_allclose(found[4, :15], joints(source)[4, :15], atol=0.5)


@pytest.mark.parametrize(
    ("hidden", "message"),
    [([15, 16], "shows the ankles in no frame"), ([0], "with the nose above the ankles")],
)  # fmt: skip
def test_person_that_is_not_seen_whole_is_refused(hidden, message):
    points = joints(walk()).copy()
    points[:, hidden] = 0
    with pytest.raises(DataError, match=message):
        normalize_poses(poses(points), walk(), WHERE)


def test_other_layouts_are_refused():
    other = Poses(np.ones((3, 75), np.float32))
    with pytest.raises(DataError, match="source.json is OpenPose-25, but target.json is COCO-17"):
        normalize_poses(other, walk(), WHERE)
