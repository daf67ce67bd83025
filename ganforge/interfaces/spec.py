"""What the images of a data set, and so of a model, look like."""

from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    StrictInt,
    StrictStr,
    TypeAdapter,
    model_serializer,
)
from pydantic import SerializerFunctionWrapHandler as Serializer
from pydantic.dataclasses import dataclass

from ganforge.imaging.images import MODES


def _are_drawable(channels: int) -> int:
    if channels not in MODES:
        raise ValueError(f"{channels} channels; images have {', '.join(map(str, MODES))}")
    return channels


Side = Annotated[StrictInt, Field(gt=0, le=16384)]
Channels = Annotated[StrictInt, AfterValidator(_are_drawable)]
_FROZEN = ConfigDict(extra="forbid")


@dataclass(frozen=True, config=_FROZEN)
class TextEncoding:
    """How captions became vectors: a prompt must be embedded in the same way."""

    name: StrictStr
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    revision: StrictStr = ""
    """Hash of everything that decides the vectors; equal revisions embed equally."""


@dataclass(frozen=True, config=_FROZEN)
class ImageSpec:
    """What the images of a data set, and so of a model, look like. Validated; JSON-ready."""

    height: Side
    width: Side
    channels: Channels = 3
    source_channels: Channels | None = None
    """Channels of the source domain of a translation; None without a source."""
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

    @property
    def num_classes(self) -> int:
        """Number of classes; 0 means unconditional."""
        return len(self.class_names)

    @model_serializer(mode="wrap")
    def _without_absent_encoding(self, serialize: Serializer) -> dict[str, Any]:
        values: dict[str, Any] = serialize(self)
        if self.text_encoding is None:
            # Left out, not null: the digests of data sets without captions stay what they were.
            del values["text_encoding"]
        return values

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready mapping; `from_dict` reads it back."""
        found: dict[str, Any] = _SPEC.dump_python(self, mode="json")
        return found

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ImageSpec":
        """Read `to_dict` output; raises pydantic's ValidationError where that is not valid."""
        return _SPEC.validate_python(dict(values))


_SPEC = TypeAdapter(ImageSpec)
