"""The index of a data set: which shards it has, what its samples hold, and the hashes of both.

`index.json` is the defence against damage that tar readers do not report: garbage inside a tar
looks like its end to them. Shards are checked against the counts, sizes and hashes kept here.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import pydantic
from pydantic import Field

from ganforge.config.data import Coordinates
from ganforge.config.models import StrictModel
from ganforge.data.shards.locations import join_location, read_bytes
from ganforge.errors import DataError
from ganforge.interfaces.spec import ImageSpec

INDEX_NAME = "index.json"
INDEX_VERSION = 1
FieldKind = Literal["image", "labels", "vector", "label", "attributes", "text", "caption"]
PIXEL_KINDS: tuple[FieldKind, ...] = ("image", "labels")
"""Kinds that are grids of pixels: images, and integer label maps."""


class ShardInfo(StrictModel):
    """One tar file."""

    name: str = Field(description="File name beside index.json.")
    num_samples: int = Field(gt=0)
    num_bytes: int = Field(gt=0)
    sha256: str


class FieldSchema(StrictModel):
    """One field of every sample of a stream."""

    kind: FieldKind
    stream: str = Field("main", description="The stream whose samples hold it.")
    is_clip: bool = Field(False, description="One value per frame, frames in order of time.")
    height: int = Field(0, description="image, labels: pixels.")
    width: int = Field(0, description="image, labels: pixels.")
    channels: int = Field(0, description="image: 1 to 16; labels: 1.")
    bit_depth: Literal[8, 16] = Field(8, description="image, labels: bits per channel.")
    max_value: int = Field(
        255, description="image: the value of white; 4095 for 12-bit data kept in 16 bits."
    )
    value_range: tuple[float, float] | None = Field(
        None, description="image of floats: the values that 0 and 65535 stand for."
    )
    size: int = Field(
        0,
        description="attributes, text, vector: length; label: number of classes; labels: number "
        "of one-hot channels, 0 to keep the ids.",
    )
    coordinates: Coordinates | None = Field(
        None, description="vector: what its numbers are in the image; None for plain numbers."
    )
    swap: tuple[tuple[int, int], ...] = Field(
        (), description="vector: pairs of points that change places in a mirrored image."
    )
    num_frames: int = Field(1, description="Of a clip: frames of the shortest one.")

    def content(self) -> dict[str, Any]:
        """What the digest covers: what a field does not use does not change it."""
        values = self.model_dump(mode="json")
        rare = ("is_clip", "value_range", "coordinates", "swap")
        unused = [name for name in rare if not values[name]]
        return {name: value for name, value in values.items() if name not in unused}


class DatasetIndex(StrictModel):
    """The content of index.json."""

    version: int
    spec: dict[str, Any] = Field(description="The ImageSpec, as a mapping.")
    streams: dict[str, tuple[ShardInfo, ...]]
    fields: dict[str, FieldSchema]
    class_counts: tuple[int, ...] = Field((), description="Samples of each class.")
    recipe: dict[str, Any] = Field(
        default_factory=dict, description="The settings of `prepare`; not part of the digest."
    )
    digest: str = Field(description="Hash of the content: shards, schema and spec.")

    @classmethod
    def build(
        cls,
        spec: ImageSpec,
        streams: Mapping[str, tuple[ShardInfo, ...]],
        fields: Mapping[str, FieldSchema],
        class_counts: tuple[int, ...] = (),
        recipe: Mapping[str, Any] | None = None,
    ) -> "DatasetIndex":
        """An index with its digest."""
        draft = cls(
            version=INDEX_VERSION,
            spec=_as_json(spec.to_dict()),
            streams=dict(streams),
            fields=dict(fields),
            class_counts=class_counts,
            recipe=_as_json(dict(recipe or {})),
            digest="",
        )
        return draft.model_copy(update={"digest": draft.content_digest()})

    def content_digest(self) -> str:
        """sha256 over the shards' hashes and counts, the schema and the spec."""
        spec = ImageSpec.from_dict(self.spec).to_dict()
        if "text_encoding" in spec:
            # The revision covers the options that matter; where files lay is not content.
            del spec["text_encoding"]["options"]
            # Digests were defined when names had hyphens, and must not change.
            spec["text_encoding"]["name"] = spec["text_encoding"]["name"].replace("_", "-")
        content = {
            "spec": spec,
            "fields": {name: f.content() for name, f in sorted(self.fields.items())},
            "streams": {
                name: [[s.sha256, s.num_samples, s.num_bytes] for s in shards]
                for name, shards in sorted(self.streams.items())
            },
        }
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def image_spec(self) -> ImageSpec:
        """The spec of the images."""
        return ImageSpec.from_dict(self.spec)

    def num_samples(self, stream: str | None = None) -> int:
        """Samples in one stream; without a name, in the longest one."""
        if stream is None:
            return max(self.num_samples(name) for name in self.streams)
        return sum(shard.num_samples for shard in self.streams[stream])

    @property
    def pixel_fields(self) -> dict[str, FieldSchema]:
        """The images and label maps, by name."""
        return {name: f for name, f in self.fields.items() if f.kind in PIXEL_KINDS}

    def stream_fields(self, stream: str) -> tuple[str, ...]:
        """Names of the fields of a stream, sorted: the columns of its member tables."""
        return tuple(sorted(name for name, f in self.fields.items() if f.stream == stream))

    def to_json(self) -> str:
        """The text of index.json."""
        return self.model_dump_json(indent=1) + "\n"


def _as_json(values: dict[str, Any]) -> dict[str, Any]:
    """The mapping as it will be when read back: lists instead of tuples."""
    return dict(json.loads(json.dumps(values)))


def _parse_index(text: bytes, where: str) -> DatasetIndex:
    try:
        values = json.loads(text)
        version = values.get("version") if isinstance(values, dict) else None
        if version != INDEX_VERSION:
            raise DataError(
                f"{where} has index version {version!r}; this ganforge reads version "
                f"{INDEX_VERSION}. Run `ganforge data prepare` again."
            )
        index = DatasetIndex.model_validate(values)
        digest = index.content_digest()
        if index.digest != digest:
            raise ValueError(
                f"its digest is {index.digest[:12]}..., its content gives {digest[:12]}..."
            )
    except (ValueError, TypeError, RecursionError) as err:
        fault = str(err)
        if isinstance(err, pydantic.ValidationError):
            first = err.errors()[0]
            fault = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise DataError(
            f"{where} is damaged: {fault}. Restore it, or run `ganforge data prepare` again."
        ) from err
    return index


_known: dict[str, DatasetIndex] = {}
"""What `known_index` holds, by location."""


@contextlib.contextmanager
def known_index(location: str, index: DatasetIndex) -> Iterator[None]:
    """Until its end, `index` is that of `location`: neither it nor its shards are looked at again.

    For ranks that got the index from rank 0, which has checked the shards.
    """
    before = _known.get(location)
    _known[location] = index
    try:
        yield
    finally:
        del _known[location]
        if before is not None:
            _known[location] = before


def is_known(location: str) -> bool:
    """Whether `known_index` holds the index of `location`."""
    return location in _known


def load_index(location: str) -> DatasetIndex:
    """Read index.json of a folder or URL.

    Raises:
        DataError: it is missing, damaged, changed by hand, or of another version.
    """
    if location in _known:
        return _known[location]
    url = join_location(str(location), INDEX_NAME)
    try:
        text = read_bytes(url)
    except OSError as err:
        raise DataError(
            f"No index.json can be read at {location} ({type(err).__name__}: {err}). Set "
            f"`data.shards` to a folder or URL that `ganforge data prepare` has written, or put "
            f"`prepare` first in `stages`."
        ) from err
    return _parse_index(text, url)
