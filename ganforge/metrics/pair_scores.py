"""PSNR and SSIM: how near the translation of an image is to its target, pixel by pixel.

Both equal scikit-image's numbers on the same 8-bit images. Shapes: N images, C channels, H, W.
"""

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from ganforge.config.models import StrictModel
from ganforge.errors import MetricError
from ganforge.interfaces.metric import PairMetric

_WHITE = 255.0
_UNIFORM = 7
"""Side of the uniform window of SSIM, scikit-image's default."""
_RADIUS, _SIGMA = 5, 1.5
"""The Gaussian window of Wang et al.: 11 x 11 pixels."""
_PER_PASS = 8
"""Images whose SSIM is computed together: it takes about 20 float64 copies of each."""


class Psnr(PairMetric[StrictModel]):
    """Peak signal-to-noise ratio of 8-bit images in decibels, the mean over all pairs.

    The PSNR of identical images is infinite. They count as if a single value differed by one,
    which gives the highest finite PSNR of images of their size: 101 dB for 64x64 RGB. `caveats`
    says how many there are.
    """

    name = "psnr"
    lower_is_better: ClassVar[bool] = False

    def compare(self, source: Tensor, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        """`psnr` [N] in decibels, and whether the two images are `identical`."""
        error = (_bytes(output) - _bytes(target)).square().flatten(1).mean(1)
        smallest = 1 / math.prod(output.shape[1:])
        ratio = _WHITE**2 / error.clamp(min=smallest)
        return {"psnr": 10 * ratio.log10(), "identical": error == 0}

    def compute(self, values: Mapping[str, Tensor]) -> dict[str, float]:
        """The mean as `psnr`."""
        return {"psnr": values["psnr"].double().mean().item()}

    def caveats(self, values: Mapping[str, Tensor]) -> list[str]:
        """Say how many pairs are identical."""
        identical = values["identical"] > 0
        if not identical.any():
            return []
        return [
            f"{int(identical.sum())} of {len(identical)} outputs equal their targets exactly; each "
            f"counts as {values['psnr'][identical].max():.1f} dB, not as infinite"
        ]


class SsimConfig(StrictModel):
    """Options of SSIM."""

    gaussian_weights: bool = Field(
        False,
        description="Weigh pixels by a Gaussian of 1.5 pixels, as Wang et al. do. Default: "
        "scikit-image's uniform window of 7x7 pixels.",
    )


class Ssim(PairMetric[SsimConfig]):
    """Structural similarity of 8-bit images, the mean over all positions, channels and pairs.

    By default it is `skimage.metrics.structural_similarity(target, output, channel_axis=...,
    data_range=255)`; with `gaussian_weights` the same with `gaussian_weights=True, sigma=1.5,
    use_sample_covariance=False`.

    Source: Wang et al. 2004, IEEE Transactions on Image Processing 13(4), Eq. 13.
    """

    name = "ssim"
    Config = SsimConfig
    lower_is_better: ClassVar[bool] = False

    def compare(self, source: Tensor, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        """`ssim` [N], at most 1.

        Raises:
            MetricError: the images are smaller than the window.
        """
        window = self._window(output.device)
        side = len(window)
        if min(output.shape[-2:]) < side:
            raise MetricError(
                f"The metric 'ssim' compares windows of {side}x{side} pixels, but the images are "
                f"{output.shape[-2]}x{output.shape[-1]}. Leave it out of evaluate.metrics, or use "
                f"larger images."
            )
        parts = zip(*(torch.split(img, _PER_PASS) for img in (output, target)), strict=True)
        return {"ssim": torch.cat([self._of(_bytes(x), _bytes(y), window) for x, y in parts])}

    def _window(self, device: torch.device) -> Tensor:
        """Weights [k] float64 along each side of the window, with the sum 1."""
        if not self.config.gaussian_weights:
            return torch.full((_UNIFORM,), 1 / _UNIFORM, dtype=torch.float64, device=device)
        place = torch.arange(-_RADIUS, _RADIUS + 1, dtype=torch.float64, device=device)
        weights = (-(place**2) / (2 * _SIGMA**2)).exp()
        return weights / weights.sum()

    def _of(self, x: Tensor, y: Tensor, window: Tensor) -> Tensor:
        """SSIM [n] of images [n, C, H, W] float64 from 0 to 255."""
        mean_x, mean_y, square_x, square_y, product = (
            _windowed(values, window) for values in (x, y, x * x, y * y, x * y)
        )
        # scikit-image estimates the variances without bias in a uniform window.
        count = len(window) ** 2
        unbiased = 1.0 if self.config.gaussian_weights else count / (count - 1)
        variances = unbiased * (square_x + square_y - mean_x**2 - mean_y**2)
        covariance = unbiased * (product - mean_x * mean_y)
        c1, c2 = (0.01 * _WHITE) ** 2, (0.03 * _WHITE) ** 2
        similarity = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
        similarity /= (mean_x**2 + mean_y**2 + c1) * (variances + c2)
        return similarity.flatten(1).mean(1)


def _windowed(values: Tensor, window: Tensor) -> Tensor:
    """Weighted means of all whole windows of [n, C, H, W]: [n, C, H - k + 1, W - k + 1]."""
    planes = values.flatten(0, 1).unsqueeze(1)
    planes = functional.conv2d(planes, window.view(1, 1, -1, 1))
    planes = functional.conv2d(planes, window.view(1, 1, 1, -1))
    return planes.reshape(*values.shape[:2], *planes.shape[-2:])


def _bytes(img: Tensor) -> Tensor:
    """The 8-bit values of images in [-1, 1], as whole numbers in float64."""
    return img.double().add(1).mul(127.5).round()
