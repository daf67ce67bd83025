"""Member tables: where the members of a shard lie, so that a tar can be read by slices.

A table is a numpy array [samples, fields] of (offset, size, crc), kept as `NAME.members.npy`
beside the shard. Fields are in the order of `DatasetIndex.stream_fields`. All of it comes from the
tar, so it can be rebuilt at any time.
"""

import errno
import hashlib
import logging
import mmap
import os
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from ganforge.data.shards.index import ShardInfo
from ganforge.errors import ShardError
from ganforge.imaging.codec import Undecodable, read_npy
from ganforge.io.atomic import atomic_file

logger = logging.getLogger(__name__)
MEMBER_DTYPE = np.dtype([("offset", "<u8"), ("size", "<u4"), ("crc", "<u4")])
MemberTable = NDArray[np.void]
REBUILD = "Restore the shard from its origin, or run `ganforge data prepare` again."
TAR_BLOCK = 512


def sidecar_path(shard: Path) -> Path:
    """Where the member table of a shard lies."""
    return shard.with_suffix(".members.npy")


def scan_shard(path: Path, fields: Sequence[str]) -> tuple[MemberTable, ShardInfo]:
    """Read a whole shard: its member table, and its entry in the index.

    Raises:
        ShardError: it is not a tar of samples with exactly these fields.
    """
    with path.open("rb") as file:
        return _scan(path, file, fields)


def _scan(path: Path, file: BinaryIO, fields: Sequence[str]) -> tuple[MemberTable, ShardInfo]:
    size = os.fstat(file.fileno()).st_size
    if size == 0:
        raise ShardError(f"Shard {path} is empty (0 bytes). {REBUILD}")
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        samples = _members(path, file)
        table = np.zeros((len(samples), len(fields)), dtype=MEMBER_DTYPE)
        for row, (key, members) in enumerate(samples.items()):
            if sorted(members) != sorted(fields):
                raise ShardError(
                    f"Sample '{key}' of shard {path} has the fields {', '.join(sorted(members))}; "
                    f"the index says {', '.join(sorted(fields))}. {REBUILD}"
                )
            for column, name in enumerate(fields):
                offset, length = members[name]
                crc = zlib.crc32(memoryview(data)[offset : offset + length])
                table[row, column] = (offset, length, crc)
        sha256 = hashlib.sha256(data).hexdigest()
    info = ShardInfo(name=path.name, num_samples=len(samples), num_bytes=size, sha256=sha256)
    return table, info


def _members(path: Path, file: BinaryIO) -> dict[str, dict[str, tuple[int, int]]]:
    """(offset, size) by sample key and field name, in tar order."""
    samples: dict[str, dict[str, tuple[int, int]]] = {}
    last = ""
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            for member in tar:
                key, name = split_member(member, path)
                if key in samples and (key != last or name in samples[key]):
                    raise ShardError(
                        f"Shard {path} holds the key '{key}' twice. Keys must be unique: rename "
                        f"the sample and write the shard again."
                    )
                samples.setdefault(key, {})[name] = (member.offset_data, member.size)
                last = key
    except tarfile.TarError as err:
        raise ShardError(f"Shard {path} is not a readable tar ({err}). {REBUILD}") from err
    return samples


def split_member(member: tarfile.TarInfo, path: Path) -> tuple[str, str]:
    """Key and field of a tar member named KEY.FIELD.FORMAT.

    Raises:
        ShardError: it is not a plain file, or its name leads out of the folder.
    """
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts or not member.isfile():
        raise ShardError(
            f"Shard {path} holds the member '{member.name}', which is not a plain file with a "
            f"relative name. Do not trust this shard; write it again with `ganforge data prepare`."
        )
    stem, _, extension = name.name.partition(".")
    return str(name.parent / stem), extension.partition(".")[0]


def load_members(
    shard: Path, file: BinaryIO, info: ShardInfo, fields: Sequence[str]
) -> MemberTable:
    """The member table of a shard, from beside it or rebuilt.

    Args:
        shard: where the shard lies; another process may have evicted it.
        file: the shard, open for reading.
        info: its entry in the index.
        fields: names of its fields, sorted.

    Raises:
        ShardError: the shard does not match the index.
        OSError: too many files are open.
    """
    path = sidecar_path(shard)
    try:
        table: MemberTable = read_npy(path.read_bytes())
        if table.dtype == MEMBER_DTYPE and table.shape == (info.num_samples, len(fields)):
            return table
        logger.warning("%s does not fit the index; it is rebuilt from the shard.", path)
    except FileNotFoundError:
        pass
    except (Undecodable, OSError) as err:
        if isinstance(err, OSError) and err.errno in (errno.EMFILE, errno.ENFILE):
            raise  # the table is sound
        logger.warning("%s is damaged (%s); it is rebuilt from the shard.", path, err)
    table, found = _scan(shard, file, fields)
    check_shard(shard, info, found)
    try:
        save_members(shard, table)
    except OSError as err:
        logger.warning(
            "The member table of %s cannot be written beside it (%s), so it is rebuilt whenever "
            "it is needed. Run `ganforge data verify` once where the folder is writable.",
            shard,
            err,
        )
    return table


def save_members(shard: Path, table: MemberTable) -> None:
    """Write the member table beside its shard, atomically."""
    with atomic_file(sidecar_path(shard)) as temporary:
        np.save(temporary, table, allow_pickle=False)


def check_shard(shard: Path, info: ShardInfo, found: ShardInfo) -> None:
    """Compare a scanned shard with the index.

    Raises:
        ShardError: they differ.
    """
    if found.num_samples != info.num_samples:
        raise ShardError(
            f"Shard {shard} holds {found.num_samples} samples, the index says "
            f"{info.num_samples}: it is damaged or of another data set. {REBUILD}"
        )
    if found.sha256 != info.sha256:
        raise ShardError(
            f"Shard {shard} has sha256 {found.sha256[:12]}..., the index says "
            f"{info.sha256[:12]}...: its content has changed. {REBUILD}"
        )
