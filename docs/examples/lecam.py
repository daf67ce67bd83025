"""LeCam regularization. Source: Tseng et al. 2021, arXiv:2104.03310, Eqs. 4 and 5."""

from typing import Any

import torch
from torch import Tensor

from ganforge.api import ComponentOptions, Field, ObjectiveTerm, Scores, Terms, hookimpl


class LeCamConfig(ComponentOptions):
    """Options of LeCam regularization."""

    weight: float = Field(0.01, gt=0, description="Lambda of the paper.")
    decay: float = Field(0.99, gt=0, lt=1, description="Decay of the moving averages, per step.")


class LeCam(ObjectiveTerm[LeCamConfig]):
    """Pull logits towards the moving average of the other side's, for small data."""

    name, Config = "lecam", LeCamConfig

    real_mean: Tensor
    gen_mean: Tensor

    def __init__(self, config: LeCamConfig) -> None:
        super().__init__(config)
        # Float buffers are state: averaged over slots and ranks, and kept in checkpoints.
        self.register_buffer("real_mean", torch.zeros(()))
        self.register_buffer("gen_mean", torch.zeros(()))

    def discriminator(self, scores: Scores) -> Terms:
        """Squared distances of the logits from the averages."""
        with torch.no_grad():
            self.real_mean.lerp_(scores.real.float().mean(), 1 - self.config.decay)
            self.gen_mean.lerp_(scores.gen.float().mean(), 1 - self.config.decay)
        real = (scores.real - self.gen_mean).square().mean()
        gen = (scores.gen - self.real_mean).square().mean()
        return {self.name: self.config.weight * (real + gen)}


@hookimpl
def ganforge_objective_terms() -> list[type[ObjectiveTerm[Any]]]:
    """Register LeCam regularization."""
    return [LeCam]
