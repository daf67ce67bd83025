"""Built-in text encoders, registered through the same hook as those of plugins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ganforge.interfaces.component import hookimpl

if TYPE_CHECKING:
    from ganforge.interfaces.text_encoder import TextEncoder


@hookimpl
def ganforge_text_encoders() -> list[type[TextEncoder[Any]]]:
    """The built-in text encoders."""
    from ganforge.encoders.hashed_words import HashedWords
    from ganforge.encoders.transformer import Transformer
    from ganforge.encoders.word_vectors import WordVectors

    return [HashedWords, WordVectors, Transformer]
