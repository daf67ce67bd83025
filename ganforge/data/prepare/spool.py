"""Encoded samples on disk between encoding and writing, so that memory does not limit shuffling.

A file of records, each with a CRC-32: first a header, which says what the records depend on, then
what was made of each sample of a stream, in order. Records are only ever added at the end, so after
a process was killed all records but perhaps the last are whole, and another process can go on.
"""

import json
import os
import struct
import zlib
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganforge.data.prepare.sample_encoder import Encoded
from ganforge.data.shards.writer import EncodedSample
from ganforge.errors import DataError

_FRAME = struct.Struct("<IIQ")
"""CRC-32 of the rest of the record, length of its head, length of its members."""


class Spool:
    """The encoded samples of one stream: added at the end, then read back in any order.

    Attributes:
        path: of the file.
        replaced: the other header that the file had, whose records are gone; usually None.
        num_records: samples that were added or taken over, bad ones included.
        has_more: whether records of an earlier process may be left to take over.
    """

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        """Open a file, or begin it anew unless it has this header."""
        self.path = path
        self._file = path.open("r+b" if path.exists() else "w+b")
        self._size = os.fstat(self._file.fileno()).st_size
        self._offsets = array("Q")
        self._keys = array("q")
        self._groups = array("q")
        self._end = 0
        self.num_records = 0
        wanted, (found, _) = json.loads(json.dumps(header)), self._read_record() or (None, b"")
        self.has_more = found == wanted
        self.replaced = None if self.has_more else found
        if self.has_more:
            self._end = self._file.tell()
        else:
            self.cut()
            self._write_record(wanted, [])

    def __len__(self) -> int:
        """Number of good samples."""
        return len(self._offsets)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def flush(self) -> None:
        """Hand what was appended to the system, where it outlives this process."""
        self._file.flush()

    def append(self, encoded: Encoded) -> None:
        """Add a sample at the end; a bad one is noted, and does not count."""
        sample = encoded.sample
        sizes = {name: len(data) for name, data in sample.members.items()}
        head = [
            *(sample.key, sizes, sample.group, encoded.fingerprint, encoded.fault),
            *(encoded.label, encoded.largest, encoded.num_frames, encoded.has_more),
        ]
        begin = self._end
        self._write_record(head, list(sample.members.values()))
        self._note(encoded, begin)

    def earlier(self) -> Iterator[Encoded]:
        """What an earlier process appended, up to the first damaged record.

        Take over each one before the next, or end; then `cut` before anything is appended.
        """
        self._file.seek(self._end)
        while (record := self._read_record()) is not None:
            yield _encoded(*record)

    def take_over(self, encoded: Encoded) -> None:
        """Keep the record that `earlier` gave last."""
        begin, self._end = self._end, self._file.tell()
        self._note(encoded, begin)

    def cut(self) -> int:
        """Remove what was not taken over; returns the number of bytes."""
        self._file.seek(self._end)
        self._file.truncate()
        self.has_more = False
        removed, self._size = max(self._size - self._end, 0), self._end
        return removed

    def read(self, number: int) -> EncodedSample:
        """Good sample number `number`, from 0.

        Raises:
            DataError: somebody else has changed the file.
        """
        self._file.seek(self._offsets[number])
        self._size = max(self._size, self._end)
        record = self._read_record()
        if record is None:
            raise DataError(
                f"{self.path} has changed while the data set was written. If another process "
                f"prepares the same data set, end it; then run the same command again."
            )
        return _encoded(*record).sample

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

    def _note(self, encoded: Encoded, offset: int) -> None:
        self.num_records += 1
        if not encoded.fault:
            key, group = encoded.sample.key, encoded.sample.group
            self._offsets.append(offset)
            self._keys.append(hash(key))
            self._groups.append(hash(group or key))

    def _write_record(self, head: Any, members: list[bytes]) -> None:
        encoded = json.dumps(head).encode()
        body = b"".join([encoded, *members])
        lengths = _FRAME.pack(0, len(encoded), len(body) - len(encoded))[4:]
        crc = zlib.crc32(body, zlib.crc32(lengths))
        self._file.write(b"".join([crc.to_bytes(4, "little"), lengths, body]))
        self._end += _FRAME.size + len(body)

    def _read_record(self) -> tuple[Any, bytes] | None:
        """Head and members of the next record; None if it is missing, torn or damaged."""
        frame = self._file.read(_FRAME.size)
        if len(frame) < _FRAME.size:
            return None
        crc, head, members = _FRAME.unpack(frame)
        # The lengths may be wrong as well; zeros would pass the check.
        if not head or self._file.tell() + head + members > self._size:
            return None
        body = self._file.read(head + members)
        if zlib.crc32(body, zlib.crc32(frame[4:])) != crc:
            return None
        return json.loads(body[:head]), body[head:]


def _encoded(head: Any, data: bytes) -> Encoded:
    """What `Spool.append` was given."""
    key, sizes, group, fingerprint, fault, label, largest, num_frames, has_more = head
    members, begin = {}, 0
    for name, size in sizes.items():
        members[name] = data[begin : begin + size]
        begin += size
    sample = EncodedSample(key, members, group)
    return Encoded(sample, label, largest, num_frames, has_more, fault, fingerprint)
