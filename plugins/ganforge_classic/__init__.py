"""The first GANs: the original MLP, the conditional one, and the Laplacian pyramid."""

from typing import Any

from ganforge.api import Architecture, hookimpl
from ganforge_classic.cgan import Cgan, CganConfig
from ganforge_classic.lapgan import Lapgan
from ganforge_classic.lapgan_networks import LapganConfig
from ganforge_classic.vanilla import Vanilla, VanillaConfig

__all__ = ["Cgan", "CganConfig", "Lapgan", "LapganConfig", "Vanilla", "VanillaConfig"]


@hookimpl
def ganforge_architectures() -> list[type[Architecture[Any]]]:
    """Register the three."""
    return [Vanilla, Cgan, Lapgan]
