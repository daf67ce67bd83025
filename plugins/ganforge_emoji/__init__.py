"""Emoji as ganforge data sources: two drawing styles as domains, and names as captions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ganforge.api import hookimpl

if TYPE_CHECKING:
    from ganforge.api import Source


@hookimpl
def ganforge_sources() -> list[type[Source[Any]]]:
    """The sources of this package."""
    from ganforge_emoji.captions import EmojiCaptions
    from ganforge_emoji.domains import EmojiDomains

    return [EmojiDomains, EmojiCaptions]
