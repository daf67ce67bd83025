"""What the images of a data set, and so of a model, look like."""

from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Any, Literal

from pydantic import (
    ConfigDict,
    Field,
    StrictInt,
    StrictStr,
    TypeAdapter,
    model_serializer,
)
from pydantic import SerializerFunctionWrapHandler as Serializer
from pydantic.dataclasses import dataclass

from ganforge.config.base import MAX_SIDE
from ganforge.config.data import MAX_CHANNELS

Side = Annotated[StrictInt, Field(gt=0, le=MAX_SIDE)]
Channels = Annotated[StrictInt, Field(gt=0, le=MAX_CHANNELS)]
NumChannels = Annotated[StrictInt, Field(gt=0)]
_FROZEN = ConfigDict(extra="forbid")


@dataclass(frozen=True, config=_FROZEN)
class TextEncoding:
    """How captions became vectors: a prompt must be embedded in the same way."""

    name: StrictStr
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    revision: StrictStr = ""
    """Hash of everything that decides the vectors; equal revisions embed equally."""


@dataclass(frozen=True, config=_FROZEN)
class FieldSpec:
    """A further field of each sample, as a batch holds it."""

    kind: Literal["image", "labels", "vector"]
    size: Annotated[StrictInt, Field(ge=0)]
    """Channels of an image, one-hot channels of a label map (0: the ids), numbers of a vector."""
    is_clip: bool = False
    """Whether there is one for each frame."""


@dataclass(frozen=True, config=_FROZEN)
class DerivedSource:
    """How sources were made from images: `translate` makes them in the same way."""

    name: StrictStr
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, config=_FROZEN)
class ImageSpec:
    """What the images of a data set, and so of a model, look like. Validated; JSON-ready."""

    height: Side
    width: Side
    channels: Channels = 3
    source_channels: NumChannels | None = None
    """Channels of the source of a translation, one-hot for label maps; None without a source."""
    class_names: tuple[StrictStr, ...] = ()
    """One name per class; empty for unlabeled images."""
    attribute_names: tuple[StrictStr, ...] = ()
    """One name per binary or real attribute, as in CelebA."""
    text_dim: Annotated[StrictInt, Field(ge=0)] = 0
    """Size of a stored caption embedding; 0 without captions."""
    num_frames: Annotated[StrictInt, Field(gt=0)] = 1
    """Frames per sample; 1 for still images."""
    text_encoding: TextEncoding | None = None
    """What made the caption embeddings; None if unknown."""
    source_kind: Literal["image", "labels", "pose"] = "image"
    """Whether sources are images, integer label maps that networks see one-hot, or poses that they
    see as drawn skeletons."""
    pose_size: Annotated[StrictInt, Field(ge=0)] = 0
    """Numbers of each pose, which tell its layout; 0 where sources are no poses."""
    bit_depth: Literal[8, 16] = 8
    """Bits per channel of the images to generate."""
    value_range: tuple[float, float] | None = None
    """The values that -1 and 1 stand for in images of floats; None for integers."""
    source_value_range: tuple[float, float] | None = None
    """As `value_range`, of the sources."""
    derived: DerivedSource | None = None
    """How sources were derived from the images; None where the data hold them."""
    fields: Mapping[StrictStr, FieldSpec] = field(default_factory=dict, hash=False)
    """Fields beside image, source, target, frames, label, attributes and text, by name."""

    @property
    def num_classes(self) -> int:
        """Number of classes; 0 means unconditional."""
        return len(self.class_names)

    @property
    def source(self) -> FieldSpec:
        """What networks see of a source, which may be drawn or one-hot."""
        kind: Literal["image", "labels"] = "labels" if self.source_kind == "labels" else "image"
        return FieldSpec(kind, self.source_channels or self.channels, self.num_frames > 1)

    @model_serializer(mode="wrap")
    def _without_what_is_rare(self, serialize: Serializer) -> dict[str, Any]:
        """Leave out what a data set does not have: its digest stays when a field is added here."""
        values: dict[str, Any] = serialize(self)
        for name, default in _RARE.items():
            if getattr(self, name) == default:
                del values[name]
        return values

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready mapping; `from_dict` reads it back."""
        found: dict[str, Any] = _SPEC.dump_python(self, mode="json")
        return found

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ImageSpec":
        """Read `to_dict` output; raises pydantic's ValidationError where that is not valid."""
        return _SPEC.validate_python(dict(values))


_RARE: Mapping[str, Any] = {
    "text_encoding": None,
    "source_kind": "image",
    "pose_size": 0,
    "bit_depth": 8,
    "value_range": None,
    "source_value_range": None,
    "derived": None,
    "fields": {},
}
_SPEC = TypeAdapter(ImageSpec)
