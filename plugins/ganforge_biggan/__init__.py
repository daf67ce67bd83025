"""BigGAN and BigGAN-deep: large class-conditional GANs. Source: arXiv:1809.11096."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ganforge.api import hookimpl

if TYPE_CHECKING:
    from ganforge.api import Architecture


@hookimpl
def ganforge_architectures() -> list[type[Architecture[Any]]]:
    """Register the family."""
    from ganforge_biggan.biggan import Biggan
    from ganforge_biggan.biggan_deep import BigganDeep

    return [Biggan, BigganDeep]
