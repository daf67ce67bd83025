"""Image-to-image translation: pix2pix, pix2pixHD, CycleGAN, CUT and UNIT."""

from typing import Any

from ganforge.api import Architecture, hookimpl
from ganforge_translation.cut import Cut
from ganforge_translation.cyclegan import Cyclegan
from ganforge_translation.pix2pix import Pix2pix
from ganforge_translation.pix2pix_hd import Pix2pixHd
from ganforge_translation.unit import Unit

__all__ = ["Cut", "Cyclegan", "Pix2pix", "Pix2pixHd", "Unit"]


@hookimpl
def ganforge_architectures() -> list[type[Architecture[Any]]]:
    """The architectures of this package."""
    return [Pix2pix, Pix2pixHd, Cyclegan, Cut, Unit]
