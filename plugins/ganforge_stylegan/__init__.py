"""The StyleGAN family: generators driven by a mapped latent w, one discriminator for all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ganforge.api import hookimpl

if TYPE_CHECKING:
    from ganforge.api import Architecture


@hookimpl
def ganforge_architectures() -> list[type[Architecture[Any]]]:
    """Register the architectures of this package."""
    from ganforge_stylegan.stylegan1 import Stylegan
    from ganforge_stylegan.stylegan2 import Stylegan2
    from ganforge_stylegan.stylegan3 import Stylegan3

    return [Stylegan, Stylegan2, Stylegan3]
