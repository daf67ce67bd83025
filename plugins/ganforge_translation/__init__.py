"""Image-to-image translation: pix2pix, pix2pixHD and CycleGAN."""

from typing import Any

from ganforge.api import Architecture, hookimpl
from ganforge_translation.cyclegan import Cyclegan
from ganforge_translation.pix2pix import Pix2pix
from ganforge_translation.pix2pix_hd import Pix2pixHd

__all__ = ["Cyclegan", "Pix2pix", "Pix2pixHd"]


@hookimpl
def ganforge_architectures() -> list[type[Architecture[Any]]]:
    """The architectures of this package."""
    return [Pix2pix, Pix2pixHd, Cyclegan]
