"""Writes shards: webdataset tars of a fixed number of samples, each with its member table.

A sample is the members KEY.FIELD.FORMAT, where FORMAT says how the bytes are read:

    image, source, target   .png or .jpg          frames   .png: the frames, top to bottom
    label                   .cls: decimal text    caption  .txt: UTF-8
    attributes              .json: list of floats text     .npy: float32 [D]

The key ends at the first dot, as webdataset has it, so plain `webdataset` reads the shards too.
The bytes of a shard depend on its samples alone: no time, user or machine is stored.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import webdataset

from ganforge.data.index import ShardInfo
from ganforge.data.members import save_members, scan_shard


@dataclass
class EncodedSample:
    """A sample as it is stored: its key, and bytes by FIELD.FORMAT."""

    key: str
    members: dict[str, bytes]


def write_stream(
    folder: Path,
    stream: str,
    samples: Iterable[EncodedSample],
    fields: Sequence[str],
    samples_per_shard: int,
) -> tuple[ShardInfo, ...]:
    """Write one stream of samples as shards with member tables.

    Args:
        folder: where, an existing folder.
        stream: names the files: STREAM-000000.tar.
        samples: at least one.
        fields: names of the fields, sorted.
        samples_per_shard: the last shard may hold fewer.

    Raises:
        ShardError: a sample lacks a field, or two in one shard have the same key.
    """
    shards: list[ShardInfo] = []

    def finish(name: str) -> None:
        table, info = scan_shard(Path(name), fields)
        save_members(Path(name), table)
        shards.append(info)

    with webdataset.ShardWriter(
        str(folder / f"{stream}-%06d.tar"),
        maxcount=samples_per_shard,
        maxsize=float("inf"),
        post=finish,
        verbose=0,
        encoder=False,
        mtime=0,
        user="",
        group="",
        format="PAX_FORMAT",
    ) as writer:
        for sample in samples:
            writer.write({"__key__": sample.key, **sample.members})
    return tuple(shards)
