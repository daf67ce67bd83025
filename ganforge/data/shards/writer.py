"""Writes shards: webdataset tars of a fixed number of samples, each with its member table.

A sample is the members KEY.FIELD.FORMAT, where FORMAT says how the bytes are read:

    images, label maps   .png or .jpg           clips of them   .clip: see `clip.py`
    label                .cls: decimal text     caption         .txt: UTF-8, a caption per line
    attributes           .json: list of floats  text            .npy: float32 [D], [captions, D]
    vectors              .npy: float32 [D], or [T, D] of clips

Images of 2 or of more than 4 channels are gray PNGs of their channels, one below the other.

The key ends at the first dot, as webdataset has it, so plain `webdataset` reads the shards too.
The bytes of a shard depend on its samples alone: no time, user or machine is stored.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ganforge.data.shards.index import ShardInfo
from ganforge.data.shards.member_table import save_members, scan_shard

if TYPE_CHECKING:
    import webdataset


@dataclass
class EncodedSample:
    """A sample as it is stored: its key, and bytes by FIELD.FORMAT."""

    key: str
    members: dict[str, bytes]
    group: str = ""
    """Not stored: samples of one group are all held out, or none is."""


def write_stream(
    folder: Path,
    stream: str,
    samples: Iterable[EncodedSample],
    fields: Sequence[str],
    samples_per_shard: int,
) -> tuple[ShardInfo, ...]:
    """Write one stream of samples as shards with member tables.

    Args:
        folder: an existing folder.
        stream: names the files: STREAM-000000.tar.
        samples: at least one.
        fields: names of the fields, sorted.
        samples_per_shard: the last shard may hold fewer.

    Raises:
        ShardError: a sample lacks a field, or two in one shard have the same key.
    """
    shards: list[ShardInfo] = []
    rest = iter(samples)
    for first in rest:
        path = folder / f"{stream}-{len(shards):06d}.tar"
        with path.open("wb") as file, _tar_writer(file) as writer:
            for sample in itertools.chain([first], itertools.islice(rest, samples_per_shard - 1)):
                writer.write({"__key__": sample.key, **sample.members})
        table, info = scan_shard(path, fields)
        save_members(path, table)
        shards.append(info)
    return tuple(shards)


def _tar_writer(file: BinaryIO) -> "webdataset.TarWriter":
    import webdataset  # which imports torch

    return webdataset.TarWriter(
        file, encoder=False, mtime=0, user="", group="", format="PAX_FORMAT"
    )
