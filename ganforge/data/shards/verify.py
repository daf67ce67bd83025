"""Checks a data set against its index: presence, sizes, hashes, counts, member tables."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ganforge.data.shards.index import DatasetIndex, ShardInfo, load_index
from ganforge.data.shards.locations import check_start, is_remote, join_location
from ganforge.data.shards.member_table import (
    REBUILD,
    check_shard,
    save_members,
    scan_shard,
    sidecar_path,
)
from ganforge.data.shards.shard_cache import copy_checked
from ganforge.errors import DataError, ShardError
from ganforge.imaging.codec import Undecodable, read_npy


@dataclass
class VerifyReport:
    """The result of `verify_shards`.

    Attributes:
        location: of the data set.
        num_shards: checked.
        num_samples: in the shards that are sound.
        problems: one message per damaged shard.
        repaired: member tables that were missing or wrong and were written again.
    """

    location: str
    num_shards: int = 0
    num_samples: int = 0
    problems: list[str] = field(default_factory=list)
    repaired: list[str] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        """Whether nothing is damaged."""
        return not self.problems


def verify_shards(
    location: str,
    index: DatasetIndex | None = None,
    hashes: bool = True,
    advance: Callable[[int], None] = lambda count: None,
) -> VerifyReport:
    """Check all shards; damage is reported, not raised.

    Args:
        location: folder or URL with index.json.
        index: its index, when it is loaded already.
        hashes: read every byte; otherwise local names and sizes, and the beginning of remote
            shards.
        advance: called with 1 after each shard, for a progress bar.

    Raises:
        DataError: the index itself is missing or damaged.
    """
    index = index or load_index(location)
    report = VerifyReport(location)
    for stream, shards in index.streams.items():
        for info in shards:
            try:
                if is_remote(location):
                    _verify_remote(location, info, hashes)
                else:
                    _verify_local(report, info, index.stream_fields(stream), hashes)
                report.num_samples += info.num_samples
            except DataError as err:
                report.problems.append(str(err))
            report.num_shards += 1
            advance(1)
    return report


def _verify_remote(location: str, info: ShardInfo, hashes: bool) -> None:
    url = join_location(location, info.name)
    try:
        if not hashes:
            check_start(url)
            return
        with open(os.devnull, "wb") as sink:
            copy_checked(url, sink, info)
    except ShardError as err:
        raise ShardError(f"{err}. Upload it again from its origin.") from err


def _verify_local(
    report: VerifyReport, info: ShardInfo, fields: tuple[str, ...], hashes: bool
) -> None:
    path = Path(join_location(report.location, info.name))
    try:
        size = path.stat().st_size
    except OSError as err:
        raise ShardError(f"Shard {path} is missing ({err.strerror}). {REBUILD}") from err
    if size != info.num_bytes:
        raise ShardError(
            f"Shard {path} has {size} bytes, the index says {info.num_bytes}: it was cut short or "
            f"replaced. {REBUILD}"
        )
    if not hashes:
        return
    table, found = scan_shard(path, fields)
    check_shard(path, info, found)
    try:
        kept = read_npy(sidecar_path(path).read_bytes())
    except (OSError, Undecodable):
        kept = None
    if kept is None or not np.array_equal(kept, table):
        try:
            save_members(path, table)
        except OSError as err:
            raise ShardError(
                f"The member table {sidecar_path(path)} is missing or wrong and cannot be written "
                f"({err}). Run `ganforge data verify` where the folder is writable."
            ) from err
        report.repaired.append(sidecar_path(path).name)
