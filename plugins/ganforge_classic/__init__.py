"""The first GANs: the original MLP, the conditional one, and the Laplacian pyramid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ganforge.api import hookimpl

if TYPE_CHECKING:
    from ganforge.api import Architecture


@hookimpl
def ganforge_architectures() -> list[type[Architecture[Any]]]:
    """Register the three."""
    from ganforge_classic.cgan import Cgan
    from ganforge_classic.lapgan import Lapgan
    from ganforge_classic.vanilla import Vanilla

    return [Vanilla, Cgan, Lapgan]
