"""DiffAugment: Zhao et al. 2020, arXiv:2006.10738."""

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from ganforge.config.models import StrictModel
from ganforge.interfaces.batch import full_precision
from ganforge.interfaces.objective import Augmentation
from ganforge.objectives.augment.clips import (
    Change,
    change_color,
    change_geometry,
    check_along,
    check_images,
)
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
        0.125,
        ge=0,
        le=1,
        description="Largest translation, as a fraction of the side; zeros come in.",
    )
    hole: float = Field(
        0.5, ge=0, le=1, description="Side of the cutout, as a fraction of the image's side."
    )


class DiffAugment(Augmentation[DiffAugmentConfig]):
    """Color jitter, translation and cutout at a fixed strength."""

    name = "diffaugment"
    Config = DiffAugmentConfig

    def forward(self, img: Tensor) -> Tensor:
        """Augment images [N, C, H, W] or clips [N, T, C, H, W] in [-1, 1].

        Colors may leave that range. All frames of a clip get the same change.

        Raises:
            ShapeError: they are not images or clips.
        """
        (out,) = self._augment(img)
        return out

    def paired(self, img: Tensor, along: Tensor) -> tuple[Tensor, Tensor]:
        """Augment `img`; translate and cut `along`, with any number of channels, alike.

        Raises:
            ShapeError: as `forward`, or `along` differs in number or size.
        """
        check_along(self.name, img, along)
        out, moved = self._augment(img, along)
        return out, moved

    def _augment(self, img: Tensor, *along: Tensor) -> tuple[Tensor, ...]:
        check_images(self.name, img)
        with full_precision(img):
            found = [full(x) for x in (img, *along)]
            for name in self.config.policy:
                change = _POLICIES[name](found[0], self.config)
                chance = torch.full((), self.config.p, device=img.device)
                keep = gate(chance, torch.ones(img.shape[0], device=img.device), 0.0)
                change = _where(keep[:, None, None, None] > 0, change)
                if name == "color":
                    found[0] = change_color(found[0], change)
                else:
                    found = [change_geometry(x, change) for x in found]
            return tuple(x.to(y.dtype) for x, y in zip(found, (img, *along), strict=True))


def draw_color(like: Tensor, config: DiffAugmentConfig) -> Change:
    """Brightness +-0.5, saturation 0 to 2, contrast 0.5 to 1.5; alpha is left as it is."""
    brightness = _uniform(like, -0.5, 0.5)
    saturation = _uniform(like, 0.0, 2.0)
    contrast = _uniform(like, 0.5, 1.5)

    def change(img: Tensor) -> Tensor:
        colors = img[:, :_RGB] + brightness
        gray = colors.mean(1, keepdim=True)
        colors = gray + (colors - gray) * saturation
        middle = colors.mean((1, 2, 3), keepdim=True)
        colors = middle + (colors - middle) * contrast
        return torch.cat([colors, img[:, _RGB:]], dim=1)

    return change


def draw_translation(like: Tensor, config: DiffAugmentConfig) -> Change:
    """Shift by whole pixels; zeros come in at the border."""
    sources = []
    for side in like.shape[-2:]:
        reach = int(side * config.shift + 0.5)
        shift = torch.randint(-reach, reach + 1, (like.shape[0], 1), device=like.device)
        sources.append(torch.arange(side, device=like.device) - shift)

    def change(img: Tensor) -> Tensor:
        for axis, source in zip((2, 3), sources, strict=True):
            side = img.shape[axis]
            shape = (img.shape[0], 1, side, 1) if axis == 2 else (img.shape[0], 1, 1, side)
            inside = ((source >= 0) & (source < side)).reshape(shape)
            index = source.clamp(0, side - 1).reshape(shape).expand(img.shape)
            img = img.gather(axis, index) * inside
        return img

    return change


def draw_cutout(like: Tensor, config: DiffAugmentConfig) -> Change:
    """Set a rectangle to zero; it may hang over the border."""
    inside = torch.ones((), dtype=torch.bool, device=like.device)
    for axis in (-2, -1):
        side = like.shape[axis]
        hole = int(side * config.hole + 0.5)
        # The center is anywhere; with an even hole also half a pixel past the last one.
        num, last = like.shape[0], side + (1 - hole % 2)
        center = torch.randint(0, last, (num, 1, 1, 1), device=like.device)
        offset = torch.arange(side, device=like.device) - (center - hole // 2)
        hit = (offset >= 0) & (offset < hole)
        inside = inside & (hit.transpose(2, 3) if axis == -2 else hit)
    return lambda img: img * ~inside


def _where(is_changed: Tensor, change: Change) -> Change:
    """The change, for the images where `is_changed` [N, 1, 1, 1] holds."""
    return lambda img: torch.where(is_changed, change(img), img)


def _uniform(like: Tensor, low: float, high: float) -> Tensor:
    draw = torch.rand(like.shape[0], 1, 1, 1, device=like.device, dtype=like.dtype)
    return low + (high - low) * draw


_POLICIES: Mapping[str, Callable[[Tensor, DiffAugmentConfig], Change]] = {
    "color": draw_color,
    "translation": draw_translation,
    "cutout": draw_cutout,
}
"""By name: draw a random change for each image. Only the shape and type of the tensor matter."""
