"""Differentiable augmentation of what the discriminator sees: ADA and DiffAugment."""

from typing import Any

from ganforge.augment.ada import Ada
from ganforge.augment.diffaugment import DiffAugment
from ganforge.components import Augmentation, hookimpl


@hookimpl
def ganforge_augmentations() -> list[type[Augmentation[Any]]]:
    """The augmentations of this package."""
    return [Ada, DiffAugment]
