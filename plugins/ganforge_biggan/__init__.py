"""BigGAN and BigGAN-deep: large class-conditional GANs. Source: arXiv:1809.11096."""

from typing import Any

from ganforge.api import Architecture, hookimpl
from ganforge_biggan.biggan import Biggan, BigganConfig
from ganforge_biggan.biggan_deep import BigganDeep, BigganDeepConfig

__all__ = ["Biggan", "BigganConfig", "BigganDeep", "BigganDeepConfig"]


@hookimpl
def ganforge_architectures() -> list[type[Architecture[Any]]]:
    """Register the family."""
    return [Biggan, BigganDeep]
