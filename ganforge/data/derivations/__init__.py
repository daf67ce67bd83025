"""Built-in derivations, registered through the same hook as those of plugins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ganforge.interfaces.component import hookimpl

if TYPE_CHECKING:
    from ganforge.interfaces.derivation import Derivation


@hookimpl
def ganforge_derivations() -> list[type[Derivation[Any]]]:
    """The built-in derivations."""
    from ganforge.data.derivations.blocks import Blocks
    from ganforge.data.derivations.edges import Edges
    from ganforge.data.derivations.gray import Gray
    from ganforge.data.derivations.low_resolution import LowResolution
    from ganforge.data.derivations.mask import Mask
    from ganforge.data.derivations.noise import Noise

    return [Blocks, Edges, Gray, LowResolution, Mask, Noise]
