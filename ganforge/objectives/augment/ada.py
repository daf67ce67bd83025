"""Adaptive discriminator augmentation: Karras et al. 2020, arXiv:2006.06676.

The pipeline is the paper's recommended `bgc` and its parts. The frequency filters and image
corruptions, which did not help in the paper, are left out.
"""

import math
from collections.abc import Callable
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from ganforge.config.models import StrictModel
from ganforge.errors import ShapeError
from ganforge.interfaces.batch import full_precision
from ganforge.interfaces.objective import Augmentation
from ganforge.objectives.augment import color, geometry
from ganforge.objectives.augment.clips import (
    change_color,
    change_geometry,
    check_along,
    check_images,
)
from ganforge.objectives.augment.resample import affine_resample
from ganforge.objectives.losses import full

_MIN_SIDE = 4


class AdaConfig(StrictModel):
    """Options of ADA."""

    pipe: Literal["blit", "geom", "color", "bg", "bgc"] = Field(
        "bgc",
        description="Which transformations: pixel blitting (b), general geometry (g), color (c).",
    )
    p: float | None = Field(
        None, ge=0, le=1, description="Fixed strength. Default: adapted to the discriminator."
    )
    ramp_kimg: float = Field(
        0.0,
        ge=0,
        description="With a fixed p: length of the ramp from 0 to p, along half a cosine.",
    )
    target: float = Field(
        0.6, gt=-1, lt=1, description="Adaptive p keeps the mean sign of D(real) at this value."
    )
    interval: int = Field(4, gt=0, description="Steps between two changes of p.")
    speed_kimg: float = Field(500.0, gt=0, description="Images in which p can change by 1.")

    @model_validator(mode="after")
    def _ramp_needs_p(self) -> "AdaConfig":
        if self.ramp_kimg and self.p is None:
            raise ValueError(
                f"ramp_kimg={self.ramp_kimg} is for a fixed strength; set p, or remove ramp_kimg"
            )
        return self


class Ada(Augmentation[AdaConfig]):
    """Geometry and color, each transformation with probability p, the same for real and fake.

    An image that draws no geometric (or no color) change is passed through bit for bit.

    Attributes:
        p: scalar, the current strength.
        sign_sum: sum of the signs of D(real) since the last adaptation.
        sign_count: number of these signs.
        steps: steps taken.
    """

    name = "ada"
    Config = AdaConfig

    p: Tensor
    sign_sum: Tensor
    sign_count: Tensor
    steps: Tensor

    def __init__(self, config: AdaConfig) -> None:
        super().__init__(config)
        for name in ("p", "sign_sum", "sign_count", "steps"):
            self.register_buffer(name, torch.zeros(()))
        if config.p is not None and not config.ramp_kimg:
            self.p.fill_(config.p)

    @property
    def reads_sign(self) -> bool:
        """Yes, unless p is fixed."""
        return self.config.p is None

    def forward(self, img: Tensor) -> Tensor:
        """Augment images [N, C, H, W] or clips [N, T, C, H, W] in [-1, 1].

        Colors may leave that range. All frames of a clip get the same change.

        Raises:
            ShapeError: the images are too small, or have channels that are not colors.
        """
        (out,) = self._augment(img)
        return out

    def paired(self, img: Tensor, along: Tensor) -> tuple[Tensor, Tensor]:
        """Augment `img`, and move `along`, with any number of channels, by the same geometry.

        Raises:
            ShapeError: as `forward`, or `along` differs in number or size.
        """
        check_along(self.name, img, along)
        out, moved = self._augment(img, along)
        return out, moved

    def _augment(self, img: Tensor, *along: Tensor) -> tuple[Tensor, ...]:
        self._check(img)
        # Only where reading p is free: on a GPU it would wait for the queue.
        free = self.p.device.type == "cpu" and not torch.compiler.is_compiling()
        if self.config.p == 0.0 or (free and self.p.item() == 0.0):
            return img, *along
        with full_precision(img):
            out, *moved = (full(x) for x in (img, *along))
            p = self.p.to(out)
            inverse = self._geometry(out, p)
            if inverse is not None:
                out, *moved = (_move(x, inverse) for x in (out, *moved))
            if self._has_color:
                out = _recolor(out, color.color_matrix(img.shape[0], p))
            return out.to(img.dtype), *(x.to(y.dtype) for x, y in zip(moved, along, strict=True))

    @property
    def _has_color(self) -> bool:
        return self.config.pipe in ("color", "bgc")

    def _geometry(self, img: Tensor, p: Tensor) -> Tensor | None:
        size, height, width = img.shape[0], *img.shape[-2:]
        if self.config.pipe == "color":
            return None
        if self.config.pipe == "blit":
            return geometry.blit(size, height, width, p)
        if self.config.pipe == "geom":
            return geometry.geometric(size, height, width, p)
        return geometry.compose(
            geometry.blit(size, height, width, p), geometry.geometric(size, height, width, p)
        )

    def _check(self, img: Tensor) -> None:
        check_images(self.name, img, _MIN_SIDE)
        if self._has_color and img.shape[-3] not in (1, 3, 4):
            raise ShapeError(
                f"augment 'ada' with pipe={self.config.pipe!r} got {list(img.shape)}; it knows the "
                f"colors of 1, 3 or 4 channels. Set augment.pipe to 'bg' to move pixels only. A "
                f"condition beside the image goes to augment(img, along=condition)."
            )

    @torch.no_grad()
    def observe(self, real_logits: Tensor) -> None:
        """Count the signs of the logits of real images."""
        # Sums, so that the mean over slots of what each added keeps their ratio.
        self.sign_sum.add_(real_logits.detach().sign().sum().to(self.sign_sum))
        self.sign_count.add_(real_logits.numel())

    @torch.no_grad()
    def step_end(self, batch_size: int) -> None:
        """Move p each `interval` steps, by a fixed amount and without reading it."""
        self.steps.add_(1)
        if self.config.p is not None:
            self.p.copy_(self._scheduled(self.config.p, batch_size))
            return
        due = self.steps % self.config.interval == 0
        excess = (self.sign_sum / self.sign_count - self.config.target).sign()
        step = batch_size * self.config.interval / (1000.0 * self.config.speed_kimg)
        moved = (self.p + step * excess).clamp(0.0, 1.0)
        self.p.copy_(torch.where(due & (self.sign_count > 0), moved, self.p))
        for total in (self.sign_sum, self.sign_count):
            total.copy_(torch.where(due, 0.0, total))

    def _scheduled(self, final: float, batch_size: int) -> Tensor:
        if not self.config.ramp_kimg:
            return torch.full_like(self.p, final)
        done = (self.steps * (batch_size / (1000.0 * self.config.ramp_kimg))).clamp(max=1.0)
        return 0.5 * final * (1.0 - (math.pi * done).cos())


def _move(x: Tensor, inverse: Tensor) -> Tensor:
    """Move images or clips by the inverse matrices [N, 3, 3]."""
    inverse = inverse.to(x.dtype)
    neutral = torch.eye(3, dtype=x.dtype, device=x.device)
    return change_geometry(x, lambda y: _where_changed(inverse, neutral, affine_resample, y))


def _recolor(x: Tensor, matrix: Tensor) -> Tensor:
    """Apply the color matrices [N, 3, 4] to images or clips."""
    neutral = torch.eye(3, 4, dtype=x.dtype, device=x.device)
    return change_color(x, lambda y: _where_changed(matrix, neutral, color.apply_color, y))


def _where_changed(
    matrix: Tensor, neutral: Tensor, change: Callable[[Tensor, Tensor], Tensor], img: Tensor
) -> Tensor:
    """`change(img, matrix)` for images whose matrix is not neutral; the others stay."""
    changed = (matrix != neutral).flatten(1).any(1)[:, None, None, None]
    return torch.where(changed, change(img, matrix), img)
