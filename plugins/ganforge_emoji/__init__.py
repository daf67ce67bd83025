"""Two drawing styles of emoji as a ganforge data source."""

from typing import Any

from ganforge.api import Source, hookimpl
from ganforge_emoji.source import EmojiDomains

__all__ = ["EmojiDomains"]


@hookimpl
def ganforge_sources() -> list[type[Source[Any]]]:
    """The source of this package."""
    return [EmojiDomains]
