"""Peak signal-to-noise ratio of translations and their targets."""

from typing import Any

import torch
from torch import Tensor

from ganforge.api import ComponentOptions, Metric, PairMetric, hookimpl


class Psnr(PairMetric[ComponentOptions]):
    """Peak signal-to-noise ratio in decibels, the mean over all pairs."""

    name = "psnr"
    lower_is_better = False

    def compare(self, source: Tensor, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        """`psnr` [N] of images [N, C, H, W] in [-1, 1]; at most 106 dB, where they are equal."""
        error = (output - target).square().mean(dim=(1, 2, 3))
        return {"psnr": 10 * torch.log10(2**2 / error.clamp(min=1e-10))}


@hookimpl
def ganforge_metrics() -> list[type[Metric[Any]]]:
    """What this plugin adds."""
    return [Psnr]
