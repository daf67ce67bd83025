"""Text encoders: what turns captions into the vectors that text-to-image models are told."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from ganforge.errors import ConfigError, DataError
from ganforge.interfaces.component import Component, ConfigT
from ganforge.interfaces.spec import TextEncoding


class TextEncoder(Component[ConfigT]):
    """Maps texts to vectors of one size. Nothing is loaded before the first property is asked."""

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
        """What is kept with the vectors."""
        return TextEncoding(self.name, self.config.model_dump(mode="json"), self.revision)


def unit_scale(vectors: Tensor, texts: Sequence[str], why: str) -> Tensor:
    """Scale vectors [N, D] to root mean square 1, so that no encoder is louder than another.

    Args:
        vectors: one per text.
        texts: for the message.
        why: what a zero vector means.

    Raises:
        DataError: a vector is zero, or not finite.
    """
    scale = vectors.square().mean(dim=1).sqrt()
    bad = (~torch.isfinite(scale) | (scale == 0)).nonzero().flatten()
    if len(bad):
        raise DataError(f"The text {texts[int(bad[0])]!r} cannot be embedded: {why}")
    return vectors / scale[:, None]


def check_same_encoding(
    found: TextEncoding | None, wanted: TextEncoding | None, where: str
) -> None:
    """Refuse vectors that another encoder made, where both are known.

    Args:
        found: what made the vectors at hand.
        wanted: what the model learnt from.
        where: whose vectors they are, for the message.

    Raises:
        ConfigError: names both encoders.
    """
    if found is None or wanted is None or same_encoding(found, wanted):
        return
    raise ConfigError(
        f"{where}: the captions were embedded by {describe_encoding(found)}, the model was trained "
        f"on embeddings by {describe_encoding(wanted)}. Vectors of different encoders mean "
        f"different things: embed again with `ganforge data embed` and that encoder."
    )


def same_encoding(one: TextEncoding, other: TextEncoding) -> bool:
    """Whether two encodings give the same vectors: where files lie does not matter."""
    return one.name == other.name and one.revision == other.revision


def describe_encoding(encoding: TextEncoding) -> str:
    """An encoding in words: name, options, revision."""
    options = ", ".join(f"{key}: {value}" for key, value in encoding.options.items())
    return f"{encoding.name} ({options}; revision {encoding.revision[:12]})"
