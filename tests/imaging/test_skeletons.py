import pytest
import torch
from dancer import dance
from torch.testing import assert_close

from ganforge.imaging.pose_layouts import COCO_17, OPENPOSE_25
from ganforge.imaging.skeletons import draw_poses

WRIST, ELBOW = COCO_17.indices("left_wrist", "left_elbow")
COLOR = COCO_17.colors[COCO_17.limbs.index((ELBOW, WRIST))]


def one_limb(start, end):
    """A pose of nothing but a forearm, from (x, y) to (x, y)."""
    pose = torch.zeros(17, 3)
    pose[ELBOW], pose[WRIST] = torch.tensor([*start, 1.0]), torch.tensor([*end, 1.0])
    return pose.flatten()


def test_limb_is_a_line_of_its_color_with_soft_edges():
    img = (draw_poses(one_limb((4, 10.5), (12, 10.5)), 20, 16) + 1) / 2
    assert img.shape == (3, 20, 16)
    assert_close(img[:, 10, 8], torch.tensor(COLOR))
    assert_close(img[:, 9, 8], 0.25 * torch.tensor(COLOR))  # radius 0.75 + 0.5 - distance 1
    assert_close(img[:, 8, 8], torch.zeros(3))
    assert img[:, 10, 1].max() == 0 and img[:, 10, 14].max() == 0


def test_limb_is_left_out_where_a_joint_is_missing():
    pose = one_limb((4, 10), (12, 10))
    pose[3 * WRIST + 2] = 0
    assert torch.equal(draw_poses(pose, 20, 16), torch.full((3, 20, 16), -1.0))


def test_lines_grow_with_the_image_so_that_a_larger_one_shows_the_same():
    pose = torch.tensor(dance(1, 80, 80, unit=4.0)[0], dtype=torch.float32)
    enlarged = pose * torch.tensor([4.0, 4.0, 1.0])
    small, large = draw_poses(pose.flatten(), 160, 160), draw_poses(enlarged.flatten(), 640, 640)
    reduced = torch.nn.functional.avg_pool2d(large[None], 4)[0]
    assert (small - reduced).abs().mean() < 0.1 * (small + 1).mean()


@pytest.mark.parametrize("layout", [COCO_17, OPENPOSE_25])
def test_batches_of_clips_are_drawn_as_each_pose_alone(layout):
    poses = torch.rand(2, 3, layout.size, generator=torch.Generator().manual_seed(0)) * 24
    img = draw_poses(poses, 24, 32)
    assert img.shape == (2, 3, 3, 24, 32) and img.min() >= -1 and img.max() <= 1
    assert torch.equal(img[1, 2], draw_poses(poses[1, 2], 24, 32))


def test_joints_outside_of_the_image_and_of_one_place_are_drawn_without_a_fault():
    pose = one_limb((-1e5, 8.5), (1e5, 8.5))
    assert draw_poses(pose, 16, 16)[:, 8].max() > 0.9
    assert draw_poses(one_limb((5, 5), (5, 5)), 16, 16).isfinite().all()
