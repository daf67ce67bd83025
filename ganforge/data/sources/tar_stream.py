"""The members of a tar, read once from any stream, packed or not, and checked to be whole.

`tarfile` takes a header that it cannot read for the end of the archive, so that damage would lose
all members after it without an error. Here the end must be the end mark, with nothing behind it.
"""

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zlib
from collections.abc import Iterator
from typing import IO, Protocol

from ganforge.io.signatures import what_it_is

DAMAGE = (
    *(tarfile.TarError, zlib.error, lzma.LZMAError, struct.error, OSError, EOFError),
    *(ValueError, IndexError, OverflowError, MemoryError, RecursionError),
)
"""What `members` and `tarfile` raise for damaged archives."""
_CHUNK = 2**20
_HEAD_BYTES = 512
_USTAR = b"ustar"


class Readable(Protocol):
    """What a URL opener gives: it may be a pipe, or lack `readinto`."""

    def read(self, size: int = -1, /) -> bytes:
        """At most this many bytes."""


class _Forward(io.RawIOBase):
    """A stream that can be read and skipped forward, and knows its position and last block."""

    def __init__(self, stream: Readable, head: bytes = b"") -> None:
        super().__init__()
        self._stream = stream
        self._head = head
        self._position = 0
        self.last = b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        if size < 0:
            raise tarfile.ReadError("a member has a negative size")
        parts = []
        # In pieces: a damaged header may name any size, which must not be allocated at once.
        while size > 0 and (part := self._next(min(size, _CHUNK))):
            parts.append(part)
            size -= len(part)
            self._position += len(part)
        self.last = b"".join(parts)
        return self.last

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]
        part = self.read(len(buffer))
        buffer[: len(part)] = part
        return len(part)

    def _next(self, size: int) -> bytes:
        if self._head:
            part, self._head = self._head[:size], self._head[size:]
            return part
        return self._stream.read(size)

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        if whence != io.SEEK_SET or offset < self._position:
            raise tarfile.ReadError("a header points backwards")
        while self._position < offset and self.read(min(_CHUNK, offset - self._position)):
            pass
        return self._position


def members(stream: Readable) -> Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]:
    """The members of a tar that are no folders, in order, each with its content.

    The content is None for links and devices; it must be read before the next member.

    Raises:
        tarfile.ReadError, OSError, EOFError, ...: the archive is cut or damaged, or is no tar; see
            `DAMAGE`. A gzip, bzip2 or xz checksum is compared when its end is reached.
    """
    opened = _unpacked(stream)
    count = 0
    with tarfile.TarFile(fileobj=opened, mode="r") as tar:
        while (member := tar.next()) is not None:
            count += 1
            tar.members.clear()  # type: ignore[attr-defined]  # else it keeps them all
            if not member.isdir():
                yield member, tar.extractfile(member) if member.isreg() else None
        _check_end(opened, count)


def _unpacked(stream: Readable) -> _Forward:
    """The stream without its compression, found by its first bytes."""
    raw = _Forward(stream)
    head = raw.read(_HEAD_BYTES)
    whole = _Forward(stream, head)
    if head[:2] == b"\x1f\x8b":
        return _Forward(gzip.GzipFile(fileobj=io.BufferedReader(whole, _CHUNK), mode="rb"))
    if head[:3] == b"BZh":
        return _Forward(bz2.BZ2File(io.BufferedReader(whole, _CHUNK)))
    if head[:6] == b"\xfd7zXZ\0":
        return _Forward(lzma.LZMAFile(io.BufferedReader(whole, _CHUNK)))
    if head[:4] == b"\x28\xb5\x2f\xfd":
        raise tarfile.ReadError("it is packed with zstd; unpack it, or use pipe:zstd -dc FILE")
    if head[:4] in (b"PK\3\4", b"PK\5\6"):
        raise tarfile.ReadError("it is a zip archive; use the source zip")
    if not head:
        raise tarfile.ReadError("it is empty")
    if head[257:262] != _USTAR and (what := what_it_is(head)):
        begin = f", which begins {head.lstrip()[:24]!r}" if what == "a web page" else ""
        raise tarfile.ReadError(f"it is {what}{begin}")
    return whole


def _check_end(stream: _Forward, count: int) -> None:
    """Refuse an archive whose last header that was read is not the end mark."""
    after = f"after member {count}"
    if len(stream.last) < tarfile.BLOCKSIZE:
        raise tarfile.ReadError(f"it is cut: it has no end mark {after}")
    is_end = not any(stream.last)
    while is_end and (block := stream.read(_CHUNK)):
        is_end = not any(block)
    if not is_end:
        raise tarfile.ReadError(f"it is damaged, or several tars in one, {after}")
