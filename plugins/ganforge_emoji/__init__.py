"""Emoji as ganforge data sources: two drawing styles as domains, and names as captions."""

from typing import Any

from ganforge.api import Source, hookimpl
from ganforge_emoji.captions import EmojiCaptions
from ganforge_emoji.domains import EmojiDomains

__all__ = ["EmojiCaptions", "EmojiDomains"]


@hookimpl
def ganforge_sources() -> list[type[Source[Any]]]:
    """The sources of this package."""
    return [EmojiDomains, EmojiCaptions]
