"""Image-to-image translation: pix2pix, CycleGAN and CUT."""

from typing import Any

from ganforge.api import Architecture, hookimpl
from ganforge_translation.cut import Cut
from ganforge_translation.cyclegan import Cyclegan
from ganforge_translation.pix2pix import Pix2pix

__all__ = ["Cut", "Cyclegan", "Pix2pix"]


@hookimpl
def ganforge_architectures() -> list[type[Architecture[Any]]]:
    """The architectures of this package."""
    return [Pix2pix, Cyclegan, Cut]
