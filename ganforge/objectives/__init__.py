"""What networks are trained with: losses, regularizers, augmentations, and the adversarial pair."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ganforge.interfaces.component import hookimpl

if TYPE_CHECKING:
    from ganforge.interfaces.objective import (
        AdversarialLoss,
        Augmentation,
        ObjectiveTerm,
        Regularizer,
    )


@hookimpl
def ganforge_losses() -> list[type[AdversarialLoss[Any]]]:
    """Losses for `loss.name`."""
    from ganforge.objectives.losses import (
        Hinge,
        LeastSquares,
        Minimax,
        NonSaturating,
        Relativistic,
        Wasserstein,
    )

    return [Minimax, NonSaturating, LeastSquares, Wasserstein, Hinge, Relativistic]


@hookimpl
def ganforge_regularizers() -> list[type[Regularizer[Any]]]:
    """Regularizers for `loss.regularizers`."""
    from ganforge.objectives.regularizers import (
        R1,
        R2,
        Dragan,
        GradientPenalty,
        Orthogonal,
        PathLength,
        WeightClipping,
    )

    return [R1, R2, GradientPenalty, Dragan, WeightClipping, PathLength, Orthogonal]


@hookimpl
def ganforge_objective_terms() -> list[type[ObjectiveTerm[Any]]]:
    """Terms for `loss.terms`."""
    from ganforge.objectives.mismatched_pairs import MismatchedPairs
    from ganforge.objectives.unrolling import Unrolling

    return [MismatchedPairs, Unrolling]


@hookimpl
def ganforge_augmentations() -> list[type[Augmentation[Any]]]:
    """Augmentations for `augment`."""
    from ganforge.objectives.augment.ada import Ada
    from ganforge.objectives.augment.diffaugment import DiffAugment

    return [Ada, DiffAugment]
