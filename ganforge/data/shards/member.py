"""One member of a shard, of which as much is read as is needed."""

import os
import zlib
from typing import NamedTuple

from ganforge.imaging.codec import Undecodable


class Member(NamedTuple):
    """Where a member lies in an open shard, and the CRC-32 of its bytes."""

    file: int
    offset: int
    size: int
    crc: int

    def read(self) -> bytes:
        """The bytes of the member.

        Raises:
            Undecodable: they have changed since the shard was written.
        """
        data = os.pread(self.file, self.size, self.offset)
        if len(data) != self.size or zlib.crc32(data) != self.crc:
            raise Undecodable("has changed since the shard was written")
        return data

    def part(self, begin: int, size: int) -> bytes:
        """Bytes from `begin` on, unchecked: at most `size`, fewer at the end of the member."""
        return os.pread(self.file, min(size, self.size - begin), self.offset + begin)
