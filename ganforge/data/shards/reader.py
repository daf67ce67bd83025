"""Random access to the samples of a data set, wherever its shards lie."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from io import FileIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ganforge.config.models import DataConfig
from ganforge.data.shards.field_reader import FieldReader
from ganforge.data.shards.field_readers import field_reader
from ganforge.data.shards.index import DatasetIndex, FieldSchema, is_known
from ganforge.data.shards.locations import is_remote, join_location
from ganforge.data.shards.member import Member
from ganforge.data.shards.member_table import REBUILD, TAR_BLOCK
from ganforge.data.shards.open_shards import MemberColumns, OpenShards
from ganforge.data.shards.pixel_reader import PixelReader
from ganforge.data.shards.readable_fields import ReadableFields, missing_field
from ganforge.data.shards.shard_cache import ShardCache
from ganforge.data.views import Views, check_views
from ganforge.errors import DataError, ShardError
from ganforge.imaging.codec import Undecodable

_SHARDS_TRIED = 4
"""A shard and its neighbors; when none can be read, a network or a disk is at fault."""
FieldValues = dict[str, Tensor | list[str]]


@dataclass
class _Column:
    """A field of a batch: its place in the member table, and the values read so far."""

    number: int
    name: str
    reader: FieldReader
    values: NDArray[Any]


def check_fields(index: DatasetIndex, fields: Sequence[str], location: str) -> None:
    """Refuse fields that the data set does not have.

    Raises:
        DataError: names the field, the location and the fields there are.
    """
    for name in fields:
        if name not in index.fields:
            raise DataError(missing_field(name, index.fields, location))


def check_shards_present(location: str, index: DatasetIndex) -> None:
    """Compare names and sizes of local shards with the index; remote ones when they are fetched.

    Shards that rank 0 has checked (`known_index`) are not looked at again.

    Raises:
        ShardError: a shard is missing, or has another size.
    """
    if is_remote(location) or is_known(location):
        return
    folder = join_location(location, "").rstrip("/") or "/"
    try:
        sizes = {entry.name: entry.stat().st_size for entry in os.scandir(folder)}
    except OSError as err:
        raise ShardError(f"{location} cannot be listed: {err}. Check data.shards.") from err
    shards = [shard for shards in index.streams.values() for shard in shards]
    missing = [shard.name for shard in shards if shard.name not in sizes]
    if missing:
        raise ShardError(
            f"{len(missing)} of {len(shards)} shards are missing at {location}, the first is "
            f"{missing[0]}. {REBUILD}"
        )
    for shard in shards:
        if sizes[shard.name] != shard.num_bytes:
            raise ShardError(
                f"Shard {join_location(location, shard.name)} has {sizes[shard.name]} bytes, the "
                f"index says {shard.num_bytes}: it was cut short or replaced. {REBUILD}"
            )


class SampleReader:
    """Reads samples by (shard, sample) and decodes them into batches.

    It holds no open file when pickled, so it can be handed to worker processes.
    """

    def __init__(self, config: DataConfig, location: str, index: DatasetIndex) -> None:
        self.config = config
        self.location = location
        self.index = index
        self.fields = ReadableFields(config, index, location)
        spec = index.image_spec
        self.stored_size = (spec.height, spec.width)
        cache = ShardCache(config.cache_dir, config.cache_bytes)
        self._shards = OpenShards(location, index, cache)

    def schemas(self, fields: Sequence[str]) -> dict[str, FieldSchema]:
        """The schemas of some fields, by name.

        Raises:
            DataError: there is no such field, or it is too small for `data.crop` or `data.clip`.
        """
        self.fields.check(fields)
        found = {name: self.fields.schemas[name] for name in fields}
        check_views(self.config, found, self.stored_size, self.location)
        return found

    def batch(
        self,
        stream: str,
        places: NDArray[np.int64],
        fields: Sequence[str],
        views: Views | None = None,
    ) -> tuple[FieldValues, list[str]]:
        """Decode samples into one batch.

        Args:
            stream: name of the stream.
            places: [n, 2] shard and sample.
            fields: names of fields of this stream.
            views: how each sample is shown; whole when omitted.

        Returns:
            values by field name, and a message for each bad sample that its neighbor replaced.

        Raises:
            ShardError: a sample is damaged and `on_bad_sample` is "error", or a shard is.
        """
        views = Views() if views is None else views
        columns = self._columns(stream, fields, views, len(places))
        bad: list[str] = []
        for row, (shard, sample) in enumerate(places.tolist()):
            bad += self._read_or_replace(stream, shard, sample, columns, row)
        stored = {c.name: c.reader.finish(c.values) for c in columns}
        values = {name: stored[self.fields.stored(name)] for name in fields}
        if "source" in fields and self.fields.derivation is not None:
            values["source"] = self._derive(columns, stored, views)
        return values, bad

    def _columns(
        self, stream: str, fields: Sequence[str], views: Views, count: int
    ) -> list[_Column]:
        columns = []
        for name in dict.fromkeys(map(self.fields.stored, fields)):
            reader = field_reader(self.index.fields[name], views, self.stored_size)
            number = self.index.stream_fields(stream).index(name)
            columns.append(_Column(number, name, reader, reader.allocate(count)))
        return columns

    def _derive(self, columns: list[_Column], stored: FieldValues, views: Views) -> Tensor:
        image = next(c for c in columns if c.name == self.fields.stored("source"))
        pixels = stored[image.name]
        assert isinstance(image.reader, PixelReader) and isinstance(pixels, Tensor)
        seeds = [0] * len(pixels) if views.seeds is None else views.seeds.tolist()
        frames = [image.reader.frame_numbers(place) for place in range(len(pixels))]
        return self.fields.derive(pixels, seeds, frames)

    def _read_or_replace(
        self, stream: str, shard: int, sample: int, columns: list[_Column], row: int
    ) -> list[str]:
        """Read a sample, or the next sound one; returns a message for each bad one."""
        bad: list[str] = []
        shards = self.index.streams[stream]
        tried = range(shard, shard + min(len(shards), _SHARDS_TRIED))
        for number in (place % len(shards) for place in tried):
            start = sample % shards[number].num_samples
            try:
                if self._read_from(stream, number, start, columns, row, bad):
                    return bad
            except ShardError as err:
                if self.config.on_bad_sample == "error":
                    raise
                bad.append(f"Sample {start} of shard {self._shards.url(stream, number)}: {err}")
        raise ShardError(
            f"{bad[-1].rstrip('.')}, and so are all samples of {len(tried)} shards. {REBUILD}"
        )

    def _read_from(
        self,
        stream: str,
        shard: int,
        sample: int,
        columns: list[_Column],
        row: int,
        bad: list[str],
    ) -> bool:
        """Read a sample, or the next sound one of its shard; adds a message for each bad one.

        Returns:
            Whether there was a sound one.

        Raises:
            ShardError: the shard cannot be read, or a sample of it and none may be skipped.
        """
        count = self.index.streams[stream][shard].num_samples
        for place in (*range(sample, count), *range(sample)):
            file, table = self._shards.open(stream, shard)
            try:
                _read(file, table, place, columns, row)
                return True
            except Undecodable as err:
                url = self._shards.url(stream, shard)
                name = _key(file, table, place)
                bad.append(f"Sample '{name}' (number {place}) of shard {url}: {err}")
                if self.config.on_bad_sample == "error":
                    raise ShardError(
                        f"{bad[-1]}. {REBUILD} Or set data.on_bad_sample: skip."
                    ) from err
        return False

    def close(self) -> None:
        """Close all files."""
        self._shards.close()


def _read(
    file: FileIO, table: MemberColumns, sample: int, columns: list[_Column], row: int
) -> None:
    for column in columns:
        member = Member(
            file.fileno(),
            int(table.offset[sample, column.number]),
            int(table.size[sample, column.number]),
            int(table.crc[sample, column.number]),
        )
        try:
            column.reader.read(member, column.values, row)
        except Undecodable as err:
            raise Undecodable(f"field '{column.name}' {err}") from err


def _key(file: FileIO, table: MemberColumns, sample: int) -> str:
    """The name of a sample, from the tar header of its first member."""
    first = int(table.offset[sample].min()) - TAR_BLOCK
    header = os.pread(file.fileno(), TAR_BLOCK, first)
    name = header[:100].split(b"\0", 1)[0].decode("utf-8", "replace")
    return name.partition(".")[0]
