import pytest

from ganforge.imaging.pose_layouts import COCO_17, OPENPOSE_25, pose_layout


@pytest.mark.parametrize(("layout", "count"), [(COCO_17, 17), (OPENPOSE_25, 25)])
def test_layout_connects_each_joint_and_swaps_left_and_right(layout, count):
    assert len(set(layout.joints)) == count and layout.size == 3 * count
    assert {joint for limb in layout.limbs for joint in limb} == set(range(count))
    assert len(set(layout.colors)) == len(layout.limbs)
    for left, right in layout.swap:
        assert layout.joints[left].replace("left", "right") == layout.joints[right]
    unpaired = set(range(count)) - {joint for pair in layout.swap for joint in pair}
    assert {layout.joints[joint] for joint in unpaired} <= {"nose", "neck", "mid_hip"}


def test_pose_layout_is_known_by_the_numbers_of_a_pose():
    assert pose_layout(51) is COCO_17 and pose_layout(75) is OPENPOSE_25
    assert pose_layout(54) is None
    assert COCO_17.indices("left_ankle", "nose") == [15, 0]
