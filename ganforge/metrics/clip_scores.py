"""Metrics of clips: whether they change from frame to frame as their targets do."""

from torch import Tensor

from ganforge.config.models import StrictModel
from ganforge.interfaces.metric import ClipMetric

_PERCENT = 100.0


class DtSsd(ClipMetric[StrictModel]):
    """dtSSD: error of the change from frame to frame, in percent of the value range.

    The root of the mean square of (output[t] - output[t - 1]) - (target[t] - target[t - 1]), for
    pixels from 0 to 1, times 100; the mean over the frames of a clip, then over clips. Flicker
    raises it. It compares each position with itself: it does not follow motion, and an output that
    is wrong by the same amount in all frames counts as perfect, so that it only makes sense beside
    `psnr` or `ssim`.

    Source: Erofeev et al. 2015, BMVC, "Perceptually motivated benchmark for video matting".
    """

    name = "dtssd"

    def compare(self, source: Tensor, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        """`dtssd` [N] of clips [N, T, C, H, W] of at least 2 frames."""
        change = ((output - target) / 2).double().diff(dim=1)
        return {"dtssd": _PERCENT * change.square().mean((2, 3, 4)).sqrt().mean(1)}
