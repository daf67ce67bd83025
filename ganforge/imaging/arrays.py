"""Images as float arrays in [0, 1], channels last, for code that uses numpy."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def to_array(img: Tensor) -> NDArray[np.float32]:
    """Arrays [..., H, W, C] in [0, 1] of images [..., C, H, W] in [-1, 1]; clamped."""
    values = img.detach().float().add(1).div(2).clamp(0, 1).movedim(-3, -1)
    return np.ascontiguousarray(values.cpu().numpy())


def from_array(values: NDArray[np.floating[Any]]) -> Tensor:
    """Images [..., C, H, W] in [-1, 1] of arrays [..., H, W, C]: the inverse of `to_array`."""
    img = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
    return img.mul(2).sub(1).movedim(-1, -3).contiguous()
