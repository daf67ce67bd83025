"""BigGAN: large class-conditional GANs. Source: Brock et al. 2019, arXiv:1809.11096."""

from typing import Any

from ganforge.api import Architecture, hookimpl
from ganforge_biggan.biggan import Biggan, BigganConfig

__all__ = ["Biggan", "BigganConfig"]


@hookimpl
def ganforge_architectures() -> list[type[Architecture[Any]]]:
    """Register the family."""
    return [Biggan]
