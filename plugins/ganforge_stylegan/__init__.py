"""The StyleGAN family: generators driven by a mapped latent w, one discriminator for all."""

from typing import Any

from ganforge.api import Architecture, hookimpl
from ganforge_stylegan.stylegan1 import Stylegan
from ganforge_stylegan.stylegan2 import Stylegan2
from ganforge_stylegan.stylegan3 import Stylegan3

__all__ = ["Stylegan", "Stylegan2", "Stylegan3"]


@hookimpl
def ganforge_architectures() -> list[type[Architecture[Any]]]:
    """Register the architectures of this package."""
    return [Stylegan, Stylegan2, Stylegan3]
