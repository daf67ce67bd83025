"""Matching-aware discriminators: real images with wrong conditions count as generated ones.

Source: Reed et al. 2016, arXiv:1605.05396, algorithm 1.
"""

from typing import Any

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from ganforge.config.models import StrictModel
from ganforge.errors import ConfigError
from ganforge.interfaces.architecture import Architecture
from ganforge.interfaces.objective import Objective, ObjectiveTerm, Scores, Terms


class MismatchedPairsConfig(StrictModel):
    """Options of mismatched pairs."""

    weight: float = Field(1.0, gt=0, description="Weight of the term; the adversarial term has 1.")


class MismatchedPairs(ObjectiveTerm[MismatchedPairsConfig]):
    """The discriminator also learns to reject real images with wrong conditions (Reed et al. 2016).

    Generated images then show their condition more plainly.
    """

    name, Config = "mismatched_pairs", MismatchedPairsConfig

    def check(self, architecture: Architecture[Any], objective: Objective) -> None:
        """Refuse architectures that never see a condition."""
        if not architecture.reads(architecture.config).conditions:
            raise ConfigError(
                f"loss.terms: 'mismatched_pairs' shows the discriminator real images with wrong "
                f"conditions, but '{architecture.name}' as it is set up has no condition. Remove "
                f"it, or choose a conditional architecture."
            )

    def caveats(self, architecture: Architecture[Any]) -> list[str]:
        """Without two conditions to confuse it has no effect."""
        if architecture.conditions and architecture.c_dim > 1:
            return []
        return [
            f"has no effect: '{architecture.name}' has no conditions of these images that could be "
            f"wrong. It needs data with two classes or more (a folder for each)."
        ]

    def other_condition(self, names: tuple[str, ...], c: Tensor) -> Tensor | None:
        """Conditions that are not each image's own."""
        return mismatched(names, c) if names else None

    def discriminator(self, scores: Scores) -> Terms:
        """The discriminator's loss with the wrong pairs in place of generated images."""
        wrong = scores.rescored
        if wrong is None:
            return {}
        scores.batch.report("accuracy/mismatched", scores.real > wrong)
        return {self.name: self.config.weight * scores.loss.discriminator(scores.real, wrong)}


def mismatched(names: tuple[str, ...], c: Tensor) -> Tensor | None:
    """Conditions that are not each image's own, c [N, c_dim]; None if there are no two.

    Another label, all equally likely. Other conditions come from the neighbor in the slot: a
    function of the slot alone, so that the result does not depend on the number of ranks.
    """
    if names != ("label",):
        return c.roll(1, dims=0) if len(c) > 1 else None
    num_classes = c.shape[1]
    if num_classes < 2:
        return None
    steps = torch.randint(1, num_classes, (len(c),), device=c.device)
    return functional.one_hot((c.argmax(1) + steps) % num_classes, num_classes).to(c)
