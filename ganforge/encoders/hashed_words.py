"""Hashed words: a vector of word counts that needs neither a file nor a network.

Source: Weinberger et al. 2009, arXiv:0902.2206 (feature hashing with signs).
"""

import hashlib
from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Tensor

from ganforge.config.models import StrictModel
from ganforge.encoders.words import revision_of, words_of
from ganforge.interfaces.text_encoder import TextEncoder, unit_scale

_VERSION = 1


class HashedWordsConfig(StrictModel):
    """Options of `hashed_words`."""

    size: int = Field(256, gt=0, description="Length of a vector.")


class HashedWords(TextEncoder[HashedWordsConfig]):
    """Word counts, each at a hashed place with a hashed sign; similar words are unrelated."""

    name, Config = "hashed_words", HashedWordsConfig

    @property
    def size(self) -> int:
        """The option `size`."""
        return self.config.size

    @property
    def revision(self) -> str:
        """Hash of the size."""
        return revision_of(version=_VERSION, size=self.config.size)

    def encode(self, texts: Sequence[str]) -> Tensor:
        """Vectors [N, size] with root mean square 1.

        Raises:
            DataError: a text has no words.
        """
        vectors = torch.zeros(len(texts), self.config.size)
        for row, text in enumerate(texts):
            for word in words_of(text):
                digest = hashlib.sha256(word.encode()).digest()
                place = int.from_bytes(digest[:8], "big") % self.config.size
                vectors[row, place] += 1.0 if digest[8] & 1 else -1.0
        why = "it has no words, or they cancel. Correct the caption, or use a larger `size`."
        return unit_scale(vectors, texts, why)
