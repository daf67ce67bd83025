"""Text to image as a ganforge plugin: GAN-INT-CLS."""

from typing import Any

from ganforge.api import Architecture, hookimpl
from ganforge_text.architecture import GanIntCls
from ganforge_text.networks import GanIntClsConfig, TextDiscriminator, TextGenerator

__all__ = ["GanIntCls", "GanIntClsConfig", "TextDiscriminator", "TextGenerator"]


@hookimpl
def ganforge_architectures() -> list[type[Architecture[Any]]]:
    """Register the architecture."""
    return [GanIntCls]
