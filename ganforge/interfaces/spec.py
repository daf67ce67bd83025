"""What the images of a data set, and so of a model, look like."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class TextEncoding:
    """How captions became vectors: what must be the same when a prompt is embedded.

    Attributes:
        name: of the text encoder, as registered.
        options: its own options.
        revision: hash of all that decides the vectors: equal revisions embed equally.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    revision: str = ""


@dataclass(frozen=True)
class ImageSpec:
    """What the images of a data set, and so of a model, look like."""

    height: int
    width: int
    channels: int = 3
    source_channels: int | None = None
    """Channels of the source domain of a translation; None where there is no source."""
    class_names: tuple[str, ...] = ()
    """One name per class; empty when the images have no labels."""
    attribute_names: tuple[str, ...] = ()
    """One name per binary or real attribute, as in CelebA."""
    text_dim: int = 0
    """Size of a stored caption embedding; 0 when there is none."""
    num_frames: int = 1
    """Frames per sample; 1 for still images."""
    text_encoding: TextEncoding | None = None
    """What made the caption embeddings; None where it is not known."""

    @property
    def num_classes(self) -> int:
        """Number of classes; 0 means unconditional."""
        return len(self.class_names)

    def unlabelled(self) -> "ImageSpec":
        """The same images without labels, attributes or captions."""
        return ImageSpec(
            self.height, self.width, self.channels, self.source_channels, num_frames=self.num_frames
        )

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready mapping; `from_dict` reads it back."""
        values = asdict(self)
        if self.text_encoding is None:
            # Absent, not null: the digest of a data set without it does not change.
            del values["text_encoding"]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ImageSpec":
        """Build a spec from `to_dict` output."""
        arguments: dict[str, Any] = dict(values)
        for name in ("class_names", "attribute_names"):
            arguments[name] = tuple(arguments.get(name, ()))
        if arguments.get("text_encoding") is not None:
            arguments["text_encoding"] = TextEncoding(**arguments["text_encoding"])
        return cls(**arguments)
