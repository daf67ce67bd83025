"""Image-to-image translation: pix2pix, pix2pixHD, CycleGAN, CUT and UNIT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ganforge.api import hookimpl

if TYPE_CHECKING:
    from ganforge.api import Architecture


@hookimpl
def ganforge_architectures() -> list[type[Architecture[Any]]]:
    """The architectures of this package."""
    from ganforge_translation.cut import Cut
    from ganforge_translation.cyclegan import Cyclegan
    from ganforge_translation.pix2pix import Pix2pix
    from ganforge_translation.pix2pix_hd import Pix2pixHd
    from ganforge_translation.unit import Unit

    return [Pix2pix, Pix2pixHd, Cyclegan, Cut, Unit]
