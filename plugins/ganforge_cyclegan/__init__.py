"""CycleGAN as a ganforge plugin."""

from typing import Any

from ganforge.api import Architecture, hookimpl
from ganforge_cyclegan.architecture import Cyclegan

__all__ = ["Cyclegan"]


@hookimpl
def ganforge_architectures() -> list[type[Architecture[Any]]]:
    """The architecture of this package."""
    return [Cyclegan]
