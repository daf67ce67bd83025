"""The shards that a reader has open, and their member tables."""

import errno
from collections import OrderedDict
from dataclasses import dataclass
from io import FileIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganforge.data.shards.index import DatasetIndex
from ganforge.data.shards.locations import is_remote, join_location
from ganforge.data.shards.member_table import REBUILD, load_members
from ganforge.data.shards.shard_cache import ShardCache, open_shard
from ganforge.errors import ShardError

_MAX_OPEN = 128
_MAX_OPEN_REMOTE = 1
"""An evicted shard uses disk for as long as a process has it open, so each holds one only."""
_MAX_TABLES = 1024
_MAX_TABLE_BYTES = 64 * 2**20
_Key = tuple[str, int]


@dataclass(frozen=True)
class MemberColumns:
    """The member table of a shard as plain columns [samples, fields]."""

    offset: NDArray[np.uint64]
    size: NDArray[np.uint32]
    crc: NDArray[np.uint32]

    @property
    def num_bytes(self) -> int:
        """Memory that it takes."""
        return self.offset.nbytes + self.size.nbytes + self.crc.nbytes


class OpenShards:
    """Opens shards by (stream, number) and keeps those that were used last.

    It holds no open file when pickled, so it can be handed to worker processes.
    """

    def __init__(self, location: str, index: DatasetIndex, cache: ShardCache) -> None:
        self._location, self._index, self._cache = location, index, cache
        self._max_open = _MAX_OPEN_REMOTE if is_remote(location) else _MAX_OPEN
        self._files: OrderedDict[_Key, FileIO] = OrderedDict()
        self._tables: OrderedDict[_Key, MemberColumns] = OrderedDict()
        self._unreadable: dict[_Key, str] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_files": OrderedDict(), "_tables": OrderedDict()}

    def url(self, stream: str, shard: int) -> str:
        """Where a shard lies."""
        return join_location(self._location, self._index.streams[stream][shard].name)

    def open(self, stream: str, shard: int) -> tuple[FileIO, MemberColumns]:
        """An open shard and its member table; valid until the next call.

        Raises:
            ShardError: the shard cannot be read or is not what the index says. It is not tried
                again: retries have failed already.
            DataError: the cache of remote shards cannot be written.
            OSError: too many files are open.
        """
        key = (stream, shard)
        if key in self._unreadable:
            raise ShardError(self._unreadable[key])
        try:
            file = self._files.get(key)
            if file is None or key not in self._tables:
                file = self._open(key)
        except OSError as err:
            if err.errno in (errno.EMFILE, errno.ENFILE):
                raise  # the shard is sound
            fault = f"Shard {self.url(stream, shard)} cannot be opened: {err}. {REBUILD}"
            self._unreadable[key] = fault
            raise ShardError(fault) from err
        except ShardError as err:
            self._unreadable[key] = str(err)
            raise
        self._files.move_to_end(key)
        self._tables.move_to_end(key)
        return file, self._tables[key]

    def _open(self, key: _Key) -> FileIO:
        """Open a file and load its table unless it is kept."""
        stream, shard = key
        info = self._index.streams[stream][shard]
        if key in self._files:  # its table was dropped
            self._files.pop(key).close()
        while len(self._files) >= self._max_open:
            self._files.popitem(last=False)[1].close()
        path, file = open_shard(self._location, info, self._cache)
        try:
            if key not in self._tables:
                table = load_members(path, file, info, self._index.stream_fields(stream))
                columns = (np.ascontiguousarray(table[name]) for name in ("offset", "size", "crc"))
                self._keep_table(key, MemberColumns(*columns))
        except BaseException:
            file.close()
            raise
        self._files[key] = file
        return file

    def _keep_table(self, key: _Key, columns: MemberColumns) -> None:
        self._tables[key] = columns
        total = sum(table.num_bytes for table in self._tables.values())
        while len(self._tables) > _MAX_TABLES or (
            total > _MAX_TABLE_BYTES and len(self._tables) > 1
        ):
            total -= self._tables.popitem(last=False)[1].num_bytes

    def close(self) -> None:
        """Close all files and forget the tables."""
        while self._files:
            self._files.popitem()[1].close()
        self._tables.clear()
