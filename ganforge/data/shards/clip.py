"""A clip as one member of a shard: frames encoded one by one, so that a window of them can be read.

    8 bytes   magic
    uint32    number of frames T
    T times   uint64 offset from the start of the member, uint32 size, uint32 CRC-32
    the frames, each a PNG or JPEG file

All numbers are little-endian. A reader needs the head, and then only the frames of its window.
"""

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ganforge.imaging.codec import Bytes, Undecodable

_MAGIC = b"GFCLIP1\n"
_COUNT = np.dtype("<u4")
_FRAME = np.dtype([("offset", "<u8"), ("size", "<u4"), ("crc", "<u4")])
_START = len(_MAGIC) + _COUNT.itemsize


def pack_clip(frames: Sequence[bytes]) -> bytes:
    """A clip of encoded frames."""
    table = np.zeros(len(frames), dtype=_FRAME)
    table["size"] = [len(frame) for frame in frames]
    table["crc"] = [zlib.crc32(frame) for frame in frames]
    ends = np.cumsum(table["size"], dtype=np.uint64) + np.uint64(head_bytes(len(frames)))
    table["offset"] = ends - table["size"]
    count = np.array(len(frames), dtype=_COUNT)
    return b"".join([_MAGIC, count.tobytes(), table.tobytes(), *frames])


def head_bytes(num_frames: int) -> int:
    """The length of the head of a clip, before its first frame."""
    return _START + num_frames * _FRAME.itemsize


def read_count(head: Bytes) -> int:
    """The number of frames of a clip, from its first `head_bytes(0)` bytes or more.

    Raises:
        Undecodable: this is not the start of a clip.
    """
    if len(head) < _START or bytes(head[: len(_MAGIC)]) != _MAGIC:
        raise Undecodable(f"is no clip (it begins {bytes(head[:8])!r})")
    return int(np.frombuffer(head, dtype=_COUNT, count=1, offset=len(_MAGIC))[0])


def read_table(head: Bytes, size: int) -> NDArray[np.void]:
    """Where the frames of a clip lie: [T] of (offset, size, crc).

    Args:
        head: the first bytes of the clip, at least `head_bytes(T)`.
        size: bytes of the whole clip.

    Raises:
        Undecodable: the head is cut short, or tells of frames outside the clip.
    """
    count = read_count(head)
    if len(head) < head_bytes(count):
        raise Undecodable(f"is a clip of {count} frames that is cut short")
    table = np.frombuffer(head, dtype=_FRAME, count=count, offset=_START)
    ends = table["offset"] + table["size"]
    if count and (int(ends.max()) > size or int(table["offset"].min()) < head_bytes(count)):
        raise Undecodable("is a clip whose frames lie outside of it")
    return table


def check_frame(data: Bytes, entry: np.void) -> None:
    """Raise `Undecodable` for a frame that is not what its entry in the table says."""
    if len(data) != int(entry["size"]) or zlib.crc32(data) != int(entry["crc"]):
        raise Undecodable("has a frame that has changed since the shard was written")
