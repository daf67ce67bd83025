"""Draws poses as skeletons, which a translator takes as its source.

Shapes: J joints of a pose, H height, W width, M poses. Coordinates are continuous: the center of
the pixel in column j is at j + 0.5.
"""

import torch
from torch import Tensor

from ganforge.imaging.pose_layouts import POSE_CHANNELS, pose_layout

_RADIUS = 1 / 100
"""Half the width of a limb, as a share of the shorter side."""
_LEAST_RADIUS = 0.75


def draw_poses(poses: Tensor, height: int, width: int) -> Tensor:
    """Skeletons on black: a line of one color for each limb, with soft edges.

    A limb is left out where one of its joints is missing, which is a confidence of 0.

    Args:
        poses: [..., 3 J] float32 x, y and confidence, in pixels; J as in COCO-17 or OpenPose-25.
        height: H.
        width: W.

    Returns:
        [..., 3, H, W] float32 in [-1, 1].
    """
    layout = pose_layout(poses.shape[-1])
    assert layout is not None, f"no layout has poses of {poses.shape[-1]} numbers"
    points = poses.reshape(-1, len(layout.joints), 3)
    radius = max(_LEAST_RADIUS, _RADIUS * min(height, width))
    down = torch.arange(height, device=poses.device).view(-1, 1) + 0.5
    right = torch.arange(width, device=poses.device) + 0.5
    canvas = poses.new_zeros(len(points), POSE_CHANNELS, height, width)
    for (start, end), color in zip(layout.limbs, layout.colors, strict=True):
        distance = _distance(points[:, start], points[:, end], down, right)
        is_there = (points[:, start, 2] > 0) & (points[:, end, 2] > 0)
        cover = (radius + 0.5 - distance).clamp(0, 1) * is_there.view(-1, 1, 1)
        canvas = torch.lerp(canvas, poses.new_tensor(color).view(3, 1, 1), cover[:, None])
    return canvas.mul(2).sub(1).view(*poses.shape[:-1], *canvas.shape[1:])


def _distance(start: Tensor, end: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Distance of each pixel from a segment: [M, H, W], of joints [M, 3]."""
    x, y = (start[:, axis].view(-1, 1, 1) for axis in (0, 1))
    along_x, along_y = ((end - start)[:, axis].view(-1, 1, 1) for axis in (0, 1))
    from_x, from_y = right - x, down - y
    length = (along_x.square() + along_y.square()).clamp(min=1e-6)
    share = ((from_x * along_x + from_y * along_y) / length).clamp(0, 1)
    return (from_x - share * along_x).hypot(from_y - share * along_y)
