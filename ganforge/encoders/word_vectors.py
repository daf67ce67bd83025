"""The mean of word vectors read from a file: GloVe, word2vec or fastText in text form.

Source: GloVe, Pennington et al. 2014, doi:10.3115/v1/D14-1162. The mean vector is subtracted, the
first step of Mu and Viswanath 2018, arXiv:1702.01417; otherwise the vectors of any two captions are
nearly equal.
"""

import hashlib
import itertools
import mmap
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from ganforge.config.models import StrictModel
from ganforge.encoders.words import revision_of, words_of
from ganforge.errors import DataError
from ganforge.interfaces.text_encoder import TextEncoder, unit_scale
from ganforge.io.hashing import file_sha256

_VERSION = 1
_FREQUENT = 20000
"""Words at the start of the file whose mean is subtracted; such files are sorted by frequency."""


class WordVectorsConfig(StrictModel):
    """Options of `word_vectors`."""

    path: str = Field(
        description="File with a word and its numbers on each line, separated by spaces; a first "
        "line with only the counts is allowed."
    )
    unknown_words: Literal["skip", "hash"] = Field(
        "skip",
        description="Words that the file lacks: skip ignores them, and refuses a text of nothing "
        "else; hash gives each a random vector derived from its spelling.",
    )


class WordVectors(TextEncoder[WordVectorsConfig]):
    """Mean of the vectors of a caption's words, from a GloVe file."""

    name, Config = "word_vectors", WordVectorsConfig
    local_options = ("path",)

    @cached_property
    def _file(self) -> "_VectorFile":
        return _VectorFile(Path(self.config.path))

    @property
    def size(self) -> int:
        """Numbers per line."""
        return self._file.size

    @cached_property
    def revision(self) -> str:
        """Hash of the content of the file, and of the rule for unknown words."""
        return revision_of(
            version=_VERSION,
            file=file_sha256(self._file.path),
            unknown_words=self.config.unknown_words,
        )

    def encode(self, texts: Sequence[str]) -> Tensor:
        """Vectors [N, size] with root mean square 1.

        Raises:
            DataError: the file is missing or damaged, or knows no word of a text.
        """
        rows = np.zeros((len(texts), self.size), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            found = [self._vector(word) for word in words_of(text)]
            known = [vector for vector in found if vector is not None]
            if known:
                row[:] = np.mean(known, axis=0)
        why = f"none of its words is in {self.config.path}. Use words that are, or another file."
        return unit_scale(torch.from_numpy(rows), texts, why)

    def _vector(self, word: str) -> NDArray[np.float32] | None:
        """A word's vector minus the mean vector; None for a word to skip."""
        common, spread = self._file.common
        if word in self._file.places:
            return self._file[word] - common
        if self.config.unknown_words == "skip":
            return None
        digest = hashlib.sha256(word.encode()).digest()
        # A legacy generator: its stream is frozen, which that of newer ones is not.
        noise = np.random.RandomState(int.from_bytes(digest[:4], "big")).standard_normal(self.size)
        return (spread * noise).astype(np.float32)


class _VectorFile:
    """A memory-mapped file of word vectors; it may be larger than memory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as stream:
                self._data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as err:
            raise DataError(
                f"The word vectors {path} cannot be read ({err}). Check `path` of the text "
                f"encoder; pipelines/quick/get_words.sh fetches a file."
            ) from err
        self.places = self._scan()
        first = next(iter(self.places), None)
        self.size = 0 if first is None else len(self._numbers(first))
        if self.size < 2:
            raise DataError(
                f"{path} holds no word vectors: a line is a word and its numbers, separated by "
                f"spaces. Give a file in the text form of GloVe or word2vec."
            )

    def _scan(self) -> dict[str, tuple[int, int]]:
        """The range of bytes that holds the numbers of each word."""
        places: dict[str, tuple[int, int]] = {}
        start = 0
        for line in iter(self._data.readline, b""):
            word, _, numbers = line.partition(b" ")
            # Two fields are the header of a word2vec file.
            if numbers.count(b" ") > 0:
                places.setdefault(
                    word.decode("utf-8", "replace"), (start + len(word) + 1, start + len(line))
                )
            start += len(line)
        return places

    def _numbers(self, word: str) -> NDArray[np.float32]:
        start, stop = self.places[word]
        try:
            return np.array(self._data[start:stop].split(), dtype=np.float32)
        except ValueError as err:
            raise DataError(f"{self.path}: the line of '{word}' is damaged ({err}).") from err

    def __getitem__(self, word: str) -> NDArray[np.float32]:
        """The vector of a word that the file has."""
        vector = self._numbers(word)
        if len(vector) != self.size:
            raise DataError(
                f"{self.path}: the line of '{word}' has {len(vector)} numbers, the first has "
                f"{self.size}. Fetch the file again."
            )
        return vector

    @cached_property
    def common(self) -> tuple[NDArray[np.float32], float]:
        """The mean over the most frequent words, and their root mean square distance from it."""
        words = itertools.islice(self.places, _FREQUENT)
        vectors = np.stack([self[word] for word in words])
        mean = vectors.mean(axis=0)
        return mean, float((vectors - mean).std())
