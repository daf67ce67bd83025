"""Pictures of tensors that are no pictures: label maps, and images of any number of channels.

Shapes: N images, C channels, H height, W width; any axes may come before the last three.
"""

import torch
from torch import Tensor

from ganforge.imaging.channels import MODES
from ganforge.imaging.images import from_uint8

_WHITE = 1.0


def showable(img: Tensor) -> Tensor:
    """Images [..., C, H, W] with 1, 3 or 4 channels: of others the first three, or the first."""
    channels = img.shape[-3]
    if channels in MODES:
        return img
    return img[..., : 3 if channels > 3 else 1, :, :]


def colored(one_hot: Tensor) -> Tensor:
    """Label maps [..., K, H, W], one-hot or scores, in colors: [..., 3, H, W] in [-1, 1].

    A label has the same color in all pictures: that of the PASCAL VOC color map, which repeats
    after 256 labels. Pixels without a label are white.
    """
    best, label = one_hot.max(dim=-3)
    color = palette().to(one_hot.device)[label % 256].movedim(-1, -3)
    return from_uint8(color).where((best > 0).unsqueeze(-3), torch.full((), _WHITE))


def palette() -> Tensor:
    """The PASCAL VOC color map: RGB [256, 3] uint8, in which near labels look different."""
    label = torch.arange(256)
    color = torch.zeros(256, 3, dtype=torch.int64)
    for bit in range(8):
        # The lowest three bits of the label, and then the next three, spread from the top.
        for channel in range(3):
            color[:, channel] |= ((label >> channel) & 1) << (7 - bit)
        label = label >> 3
    return color.to(torch.uint8)
