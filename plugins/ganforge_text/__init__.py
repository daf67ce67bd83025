"""Text to image as a ganforge plugin: GAN-INT-CLS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ganforge.api import hookimpl

if TYPE_CHECKING:
    from ganforge.api import Architecture


@hookimpl
def ganforge_architectures() -> list[type[Architecture[Any]]]:
    """Register the architecture."""
    from ganforge_text.architecture import GanIntCls

    return [GanIntCls]
