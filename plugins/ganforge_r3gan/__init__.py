"""R3GAN: a modern baseline GAN. Source: Huang et al. 2024, arXiv:2501.05441."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ganforge.api import hookimpl

if TYPE_CHECKING:
    from ganforge.api import Architecture


@hookimpl
def ganforge_architectures() -> list[type[Architecture[Any]]]:
    """Register R3GAN."""
    from ganforge_r3gan.architecture import R3gan

    return [R3gan]
