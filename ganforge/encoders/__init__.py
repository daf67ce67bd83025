"""Built-in text encoders, registered through the same hook as those of plugins."""

from typing import Any

from ganforge.encoders.hashed_words import HashedWords
from ganforge.encoders.transformer import Transformer
from ganforge.encoders.word_vectors import WordVectors
from ganforge.interfaces.component import hookimpl
from ganforge.interfaces.text_encoder import TextEncoder


@hookimpl
def ganforge_text_encoders() -> list[type[TextEncoder[Any]]]:
    """The built-in text encoders."""
    return [HashedWords, WordVectors, Transformer]
