"""The interface of text encoders: captions to the vectors that condition text-to-image models."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from ganforge.errors import DataError
from ganforge.interfaces.component import Component, ConfigT
from ganforge.interfaces.spec import TextEncoding

if TYPE_CHECKING:
    from torch import Tensor


class TextEncoder(Component[ConfigT]):
    """Maps texts to vectors of one size. Files are loaded when a property is first read."""

    kind = "text encoder"
    local_options: ClassVar[tuple[str, ...]] = ()
    """Options that say where its files lie; another machine may set others."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Length D of a vector."""

    @property
    @abstractmethod
    def revision(self) -> str:
        """Hash of all that decides the vectors: files, and the options that matter."""

    @abstractmethod
    def encode(self, texts: Sequence[str]) -> Tensor:
        """Vectors [N, D] float32 on the CPU, each with root mean square 1.

        Raises:
            DataError: a text cannot be embedded; names it.
        """

    @property
    def encoding(self) -> TextEncoding:
        """What is stored with the vectors."""
        return TextEncoding(self.name, self.config.model_dump(mode="json"), self.revision)


def unit_scale(vectors: Tensor, texts: Sequence[str], why: str) -> Tensor:
    """Scale vectors [N, D] to root mean square 1, so that all encoders have the same scale.

    Raises:
        DataError: a vector is zero, or not finite; names the text and why that may be.
    """
    scale = vectors.square().mean(dim=1).sqrt()
    bad = (~scale.isfinite() | (scale == 0)).nonzero().flatten()
    if len(bad):
        raise DataError(f"The text {texts[int(bad[0])]!r} cannot be embedded: {why}")
    return vectors / scale[:, None]


def same_encoding(one: TextEncoding, other: TextEncoding) -> bool:
    """Whether two encodings give the same vectors; where files lie does not matter."""
    # Names had hyphens before they became snake_case.
    names = {encoding.name.replace("-", "_") for encoding in (one, other)}
    return len(names) == 1 and one.revision == other.revision


def describe_encoding(encoding: TextEncoding) -> str:
    """An encoding in words: name, options, revision."""
    options = ", ".join(f"{key}: {value}" for key, value in encoding.options.items())
    return f"{encoding.name} ({options}; revision {encoding.revision[:12]})"
