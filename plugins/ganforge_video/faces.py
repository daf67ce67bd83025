"""Squares around faces: where they are, and how they are cut out and put back.

Shapes: M frames, C channels, H height, W width, s side of the square.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ganforge.api import pose_layout

_JOINTS = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")


@dataclass(frozen=True)
class Faces:
    """A square in each of M frames, inside of it.

    Attributes:
        top: [M] rows of the upper edges.
        left: [M] columns of the left edges.
        side: s, in pixels.
        is_seen: [M] bool: whether a joint of the face is there; else the place means nothing.
    """

    top: Tensor
    left: Tensor
    side: int
    is_seen: Tensor

    def cut(self, img: Tensor) -> Tensor:
        """[M, C, H, W] -> the squares [M, C, s, s]."""
        return img[self._places()].movedim(-1, 1)

    def put(self, img: Tensor, squares: Tensor) -> Tensor:
        """Images [M, C, H, W] with their squares replaced, where faces are seen."""
        made = img.clone()
        made[self._places()] = squares.movedim(1, -1).to(img.dtype)
        return torch.where(self.is_seen.view(-1, 1, 1, 1), made, img)

    def _places(self) -> tuple[Tensor | slice, ...]:
        step = torch.arange(self.side, device=self.top.device)
        frames = torch.arange(len(self.top), device=self.top.device).view(-1, 1, 1)
        rows, columns = (start.view(-1, 1) + step for start in (self.top, self.left))
        return frames, slice(None), rows[:, :, None], columns[:, None, :]


def faces_of(poses: Tensor, side: int, height: int, width: int) -> Faces:
    """Squares around the middle of the nose, eyes and ears that are there.

    Args:
        poses: [M, 3 J] x, y and confidence in pixels.
        side: of the squares, at most `height` and `width`.
        height: H of the frames.
        width: W of the frames.
    """
    layout = pose_layout(poses.shape[1])
    assert layout is not None  # `check` refuses others
    joints = poses.view(len(poses), -1, 3)
    # Not joints[:, [numbers]]: the host would wait for the copy of the numbers to a GPU.
    joints = torch.stack([joints[:, number] for number in layout.indices(*_JOINTS)], dim=1)
    is_there = (joints[..., 2:] > 0).float()
    center = (joints[..., :2] * is_there).sum(1) / is_there.sum(1).clamp(min=1)
    corner = (center - side / 2).round()
    left = corner[:, 0].clamp(0, width - side).long()
    top = corner[:, 1].clamp(0, height - side).long()
    return Faces(top, left, side, is_there.flatten(1).any(1))
