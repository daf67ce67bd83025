"""Color shift: how far the mean color of a translation is from that of its target."""

from typing import Any

from torch import Tensor

from ganforge.api import ComponentOptions, Metric, PairMetric, hookimpl


class ColorShift(PairMetric[ComponentOptions]):
    """Distance between the mean colors of output and target, the mean over all pairs."""

    name = "color_shift"

    def compare(self, source: Tensor, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        """`color_shift` [N] in 8-bit values, of images [N, C, H, W] in [-1, 1]."""
        change = (output - target).mean(dim=(2, 3)) * 127.5
        return {"color_shift": change.norm(dim=1)}


@hookimpl
def ganforge_metrics() -> list[type[Metric[Any]]]:
    """What this plugin adds."""
    return [ColorShift]
