"""DiffAugment: Zhao et al. 2020, arXiv:2006.10738."""

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from ganforge.config.models import StrictModel
from ganforge.errors import ShapeError
from ganforge.interfaces.batch import full_precision
from ganforge.interfaces.objective import Augmentation
from ganforge.objectives.augment.geometry import gate
from ganforge.objectives.losses import full

_RGB = 3


class DiffAugmentConfig(StrictModel):
    """Options of DiffAugment."""

    policy: tuple[Literal["color", "translation", "cutout"], ...] = Field(
        ("color", "translation", "cutout"), description="Applied in this order."
    )
    p: float = Field(
        1.0, ge=0, le=1, description="Probability of each policy for an image; the paper's is 1."
    )
    shift: float = Field(
        0.125, ge=0, le=1, description="Largest translation, as a part of the side; zeros enter."
    )
    hole: float = Field(0.5, ge=0, le=1, description="Side of the cutout, as a part of the side.")


class DiffAugment(Augmentation[DiffAugmentConfig]):
    """Color jitter, translation and cutout at a fixed strength."""

    name = "diffaugment"
    Config = DiffAugmentConfig

    def forward(self, img: Tensor) -> Tensor:
        """Augment images [N, C, H, W] in [-1, 1]; colors may leave that range.

        Raises:
            ShapeError: not a batch of images.
        """
        if img.ndim != 4:
            raise ShapeError(
                f"augment 'diffaugment' got {list(img.shape)}; it wants [N, C, H, W]. Flatten "
                f"frames into the batch, or remove `augment`."
            )
        with full_precision(img):
            out = full(img)
            for name in self.config.policy:
                changed = _POLICIES[name](out, self.config)
                chance = torch.full((), self.config.p, device=img.device)
                keep = gate(chance, torch.ones(img.shape[0], device=img.device), 0.0)
                out = torch.where(keep[:, None, None, None] > 0, changed, out)
            return out.to(img.dtype)


def jitter_color(img: Tensor, config: DiffAugmentConfig) -> Tensor:
    """Brightness +-0.5, saturation 0 to 2, contrast 0.5 to 1.5; alpha is left as it is."""
    colors = img[:, :_RGB]
    colors = colors + _uniform(img, -0.5, 0.5)
    gray = colors.mean(1, keepdim=True)
    colors = gray + (colors - gray) * _uniform(img, 0.0, 2.0)
    middle = colors.mean((1, 2, 3), keepdim=True)
    colors = middle + (colors - middle) * _uniform(img, 0.5, 1.5)
    return torch.cat([colors, img[:, _RGB:]], dim=1)


def translate(img: Tensor, config: DiffAugmentConfig) -> Tensor:
    """Shift by whole pixels; zeros come in at the border."""
    for axis in (2, 3):
        side = img.shape[axis]
        reach = int(side * config.shift + 0.5)
        shift = torch.randint(-reach, reach + 1, (img.shape[0], 1), device=img.device)
        source = torch.arange(side, device=img.device) - shift
        shape = (img.shape[0], 1, side, 1) if axis == 2 else (img.shape[0], 1, 1, side)
        inside = ((source >= 0) & (source < side)).reshape(shape)
        index = source.clamp(0, side - 1).reshape(shape).expand(img.shape)
        img = img.gather(axis, index) * inside
    return img


def cut_out(img: Tensor, config: DiffAugmentConfig) -> Tensor:
    """Set a rectangle to zero; it may hang over the border."""
    inside = torch.ones((), dtype=torch.bool, device=img.device)
    for axis in (2, 3):
        side = img.shape[axis]
        hole = int(side * config.hole + 0.5)
        # The center is anywhere; with an even hole also half a pixel past the last one.
        center = torch.randint(0, side + (1 - hole % 2), (img.shape[0], 1, 1, 1), device=img.device)
        offset = torch.arange(side, device=img.device) - (center - hole // 2)
        hit = (offset >= 0) & (offset < hole)
        inside = inside & (hit.transpose(2, 3) if axis == 2 else hit)
    return img * ~inside


def _uniform(img: Tensor, low: float, high: float) -> Tensor:
    draw = torch.rand(img.shape[0], 1, 1, 1, device=img.device, dtype=img.dtype)
    return low + (high - low) * draw


_POLICIES: Mapping[str, Callable[[Tensor, DiffAugmentConfig], Tensor]] = {
    "color": jitter_color,
    "translation": translate,
    "cutout": cut_out,
}
