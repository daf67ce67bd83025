"""Built-in text encoders, registered through the same hook as those of plugins."""

from typing import Any

from ganforge.encoders.hashed_words import HashedWords, HashedWordsConfig
from ganforge.encoders.transformer import Transformer, TransformerConfig
from ganforge.encoders.word_vectors import WordVectors, WordVectorsConfig
from ganforge.interfaces.component import hookimpl
from ganforge.interfaces.text_encoder import TextEncoder

__all__ = [
    "HashedWords",
    "HashedWordsConfig",
    "Transformer",
    "TransformerConfig",
    "WordVectors",
    "WordVectorsConfig",
]


@hookimpl
def ganforge_text_encoders() -> list[type[TextEncoder[Any]]]:
    """The built-in text encoders."""
    return [HashedWords, WordVectors, Transformer]
