"""The interface of data sources, and the samples that they yield."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ganforge.interfaces.component import Component, ConfigT


@dataclass(frozen=True)
class ImageHalf:
    """The left or the right half of an image file, which the worker cuts."""

    image: Path | bytes
    side: Literal["left", "right"]


class Frames(ABC):
    """The frames of a clip that is too long to hold decoded, e.g. of a video file.

    It is pickled and sent to a worker, which decodes and encodes one frame after the other. Its
    text, `str(...)`, names it in messages.
    """

    @abstractmethod
    def __len__(self) -> int:
        """Number of frames."""

    @abstractmethod
    def __iter__(self) -> Iterator[Any]:
        """The frames in order of time: bytes, paths, PIL images or arrays.

        Raises:
            DataError: a frame cannot be decoded.
        """


@dataclass(frozen=True)
class Poses:
    """The pose of one person in each frame of a clip.

    As the field `source` it is drawn as a skeleton; under another name it is a vector.
    """

    points: NDArray[np.float32]
    """[T, 3 J]: x, y and confidence of J joints in pixels of the frames; a missing one is 0 0 0.
    51 numbers are COCO-17, 75 are OpenPose-25."""
    frame_size: tuple[int, int] | None = None
    """Height and width of the frames; None if unknown."""

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, frames: slice) -> "Poses":
        return Poses(self.points[frames], self.frame_size)


@dataclass
class Sample:
    """One sample before it is written to a shard.

    Attributes:
        key: unique name, without dots or slashes.
        fields: by field name. Images and label maps: bytes (with their file extension in
            `formats`), a `Path` or an `ImageHalf` that is read in the worker, a PIL image or an
            array. Clips: a list of these, an array [T, H, W, C], or `Frames`. Vectors: numbers, or
            one row of numbers per frame; `Poses`. label: an integer; caption: a string or several;
            attributes and text: a list of floats.
        formats: file extension of each field given as bytes, e.g. {"image": "png"}.
        group: samples of one group (pieces of one video) are all used for training or all for
            validation; empty for a sample by itself.
        fault: why the sample cannot be read, for `data.on_bad_sample` to decide; its fields are
            not used then.
    """

    key: str
    fields: dict[str, Any]
    formats: dict[str, str] = field(default_factory=dict)
    group: str = ""
    fault: str = ""


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
