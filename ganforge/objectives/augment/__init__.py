"""Differentiable augmentation of what the discriminator sees: ADA and DiffAugment."""

from typing import Any

from ganforge.interfaces.component import hookimpl
from ganforge.interfaces.objective import Augmentation
from ganforge.objectives.augment.ada import Ada
from ganforge.objectives.augment.diffaugment import DiffAugment


@hookimpl
def ganforge_augmentations() -> list[type[Augmentation[Any]]]:
    """The augmentations of this package."""
    return [Ada, DiffAugment]
