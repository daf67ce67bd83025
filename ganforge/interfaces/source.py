"""The interface of data sources, and the samples that they yield."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ganforge.interfaces.component import Component, ConfigT


@dataclass
class Sample:
    """One sample before it is written to a shard.

    Attributes:
        key: unique name, without dots or slashes.
        fields: by field name: image bytes (with their file extension in `formats`), a `Path` that
            is read in the worker, PIL images, numpy arrays (a list, or [T, H, W, C], is a frame
            sequence), integers (label), strings (caption) or lists of floats.
        formats: file extension of each field given as bytes, e.g. {"image": "png"}.
    """

    key: str
    fields: dict[str, Any]
    formats: dict[str, str] = field(default_factory=dict)


class Source(Component[ConfigT]):
    """A source of raw images, which `ganforge data prepare` writes as shards."""

    kind = "source"

    def class_names(self) -> Sequence[str]:
        """Names of the classes in label order; empty when there are no labels."""
        return ()

    def attribute_names(self) -> Sequence[str]:
        """Names of the attributes; empty when there are none."""
        return ()

    def streams(self) -> Sequence[str]:
        """Independent streams of samples: one, or two for unpaired domains."""
        return ("main",)

    @abstractmethod
    def samples(self, stream: str = "main") -> Iterator[Sample]:
        """All samples of one stream, in a fixed order."""

    def num_samples(self) -> int | None:
        """Number of samples over all streams; None when unknown."""
        return None
