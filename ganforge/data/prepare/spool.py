"""Encoded samples on disk between encoding and writing, so that memory does not limit shuffling."""

import json
import struct
from array import array
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ganforge.data.shards.writer import EncodedSample

_HEADER = struct.Struct("<I")


class Spool:
    """An append-only file of samples that can be read back in any order, then deleted."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("w+b")
        self._offsets = array("Q")
        self._keys = array("q")
        self._groups = array("q")
        self._end = 0

    def __enter__(self) -> "Spool":
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()
        self.path.unlink(missing_ok=True)

    def __len__(self) -> int:
        return len(self._offsets)

    def append(self, sample: EncodedSample) -> None:
        """Add a sample at the end."""
        sizes = {name: len(data) for name, data in sample.members.items()}
        head = json.dumps([sample.key, sizes]).encode()
        record = b"".join([_HEADER.pack(len(head)), head, *sample.members.values()])
        self._file.write(record)
        self._offsets.append(self._end)
        self._keys.append(hash(sample.key))
        self._groups.append(hash(sample.group or sample.key))
        self._end += len(record)

    def read(self, number: int) -> EncodedSample:
        """The sample that was appended as number `number`."""
        self._file.seek(self._offsets[number])
        (length,) = _HEADER.unpack(self._file.read(_HEADER.size))
        key, sizes = json.loads(self._file.read(length))
        return EncodedSample(key, {name: self._file.read(size) for name, size in sizes.items()})

    def grouped_with(self, numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which samples are in one group with some of these: [len(self)] bool."""
        groups: NDArray[np.int64] = np.frombuffer(self._groups, dtype=np.int64)
        return np.isin(groups, groups[numbers])

    def duplicate_key(self) -> str | None:
        """A key that was appended twice, or None. Costs 16 bytes a sample, not a set of strings."""
        hashes: NDArray[np.int64] = np.frombuffer(self._keys, dtype=np.int64)
        order = np.argsort(hashes, kind="stable")
        same = np.flatnonzero(hashes[order][1:] == hashes[order][:-1])
        for place in same.tolist():
            first, second = (self.read(int(order[place + i])).key for i in (0, 1))
            if first == second:
                return first
        return None
