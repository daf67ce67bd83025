"""Coverage: the share of the real images that a generator reaches."""

from typing import Any

import torch
from torch import Tensor

from ganforge.api import ComponentOptions, FeatureMetric, Field, Metric, MetricError, hookimpl


class CoverageConfig(ComponentOptions):
    """Options of coverage."""

    neighbors: int = Field(5, gt=0, description="Radius: the distance to this real neighbor.")


class Coverage(FeatureMetric[CoverageConfig]):
    """Share of real images with a generated one nearer than their k-th real neighbor.

    Source: Naeem et al. 2020, arXiv:2002.09797.
    """

    name = "coverage"
    Config = CoverageConfig
    needs = "pooled"
    lower_is_better = False

    def check(self, num_gen: int, num_real: int) -> None:
        """Refuse fewer real images than neighbors."""
        if num_real <= self.config.neighbors:
            raise MetricError(
                f"The metric 'coverage' has {num_real} real images and needs more than "
                f"neighbors={self.config.neighbors}. Raise evaluate.num_real."
            )

    def compute(self, gen: Tensor, real: Tensor) -> dict[str, float]:
        """From 0 to 1 as `coverage`, of features [N, D] and [M, D]."""
        reached = 0
        for rows in torch.split(real, 1024):  # never the whole M x M distance matrix
            # The nearest of all is the image itself.
            radius = torch.cdist(rows, real).kthvalue(self.config.neighbors + 1, dim=1).values
            reached += int((torch.cdist(rows, gen).amin(dim=1) < radius).sum())
        return {"coverage": reached / len(real)}


@hookimpl
def ganforge_metrics() -> list[type[Metric[Any]]]:
    """What this plugin adds."""
    return [Coverage]
