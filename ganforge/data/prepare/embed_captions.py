"""Embeds captions as vectors, the field `text` beside the field `caption`.

`prepare` does it when `data.text_encoder` is set; `embed` does it for shards that exist.
"""

import dataclasses
import itertools
import os
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ganforge.config.choices import ComponentChoice
from ganforge.config.models import DataConfig
from ganforge.data.prepare.field_encoders import npy_bytes
from ganforge.data.prepare.worker_pool import progress_bar
from ganforge.data.shards.captions import caption_lines
from ganforge.data.shards.index import INDEX_NAME, DatasetIndex, FieldSchema, ShardInfo, load_index
from ganforge.data.shards.locations import join_location
from ganforge.data.shards.member_table import REBUILD, split_member
from ganforge.data.shards.output_folder import check_apart, new_folder
from ganforge.data.shards.shard_cache import ShardCache, open_shard
from ganforge.data.shards.writer import EncodedSample, write_stream
from ganforge.encoders.lookup import build_encoder
from ganforge.errors import DataError, ShardError
from ganforge.interfaces.spec import ImageSpec
from ganforge.interfaces.text_encoder import TextEncoder
from ganforge.io.hashing import open_file_sha256

_CHUNK = 256


def with_text(
    samples: Iterable[EncodedSample], encoder: TextEncoder[Any], where: str
) -> Iterator[EncodedSample]:
    """Samples with the embeddings of their captions: member `text.npy`, float32 [captions, D].

    Raises:
        DataError: a sample has no caption, or one that cannot be embedded.
    """
    rest = iter(samples)
    while chunk := list(itertools.islice(rest, _CHUNK)):
        captions = [_captions_of(sample, where) for sample in chunk]
        try:
            vectors = encoder.encode([text for texts in captions for text in texts])
        except DataError as err:
            raise DataError(f"{where}: {err}") from err
        parts = vectors.split_with_sizes([len(texts) for texts in captions])
        for sample, part in zip(chunk, parts, strict=True):
            members = {**sample.members, "text.npy": npy_bytes(part.float().numpy())}
            yield EncodedSample(sample.key, members)


def _captions_of(sample: EncodedSample, where: str) -> list[str]:
    lines = caption_lines(sample.members["caption.txt"].decode("utf-8"))
    if not lines:
        raise DataError(
            f"Sample '{sample.key}' of {where} has an empty caption, which cannot be embedded. "
            f"Write one, or leave the sample out."
        )
    return lines


def text_schema(
    fields: Mapping[str, FieldSchema], encoder: TextEncoder[Any], where: str
) -> FieldSchema:
    """The schema of the field `text` of embedded captions.

    Raises:
        DataError: there are no captions.
    """
    if "caption" not in fields:
        raise DataError(
            f"{where} has no field 'caption' to embed; it has {', '.join(sorted(fields))}. "
            f"Prepare it from a source with captions (a manifest with a column caption, tar files "
            f"with .txt members)."
        )
    return FieldSchema(kind="text", stream=fields["caption"].stream, size=encoder.size)


def embed(
    location: str,
    out: Path | str,
    config: ComponentChoice,
    *,
    overwrite: bool = False,
    progress: bool = True,
) -> DatasetIndex:
    """Write a copy of shards with the embeddings of their captions.

    The order of samples stays; existing embeddings are replaced.

    Args:
        location: folder or URL with shards that have the field `caption`.
        out: folder to write; may be `location` itself when `overwrite` is set.
        config: the text encoder.
        overwrite: replace a data set that is at `out` already.
        progress: show a bar.

    Returns:
        the index that was written; its spec says which encoder made the vectors.

    Raises:
        DataError: no captions, an empty one, a damaged shard, or `out` cannot be written or lies
            inside `location` or around it.
        ConfigError: the encoder cannot be loaded.
    """
    index = load_index(location)
    check_apart(location, out)
    encoder = build_encoder(config, "--encoder")
    fields = {name: schema for name, schema in index.fields.items() if name != "text"}
    fields["text"] = text_schema(fields, encoder, f"The data set at {location}")
    with new_folder(out, overwrite) as folder:
        streams: dict[str, tuple[ShardInfo, ...]] = {}
        with progress_bar(sum(map(index.num_samples, index.streams)), progress) as advance:
            for stream, shards in index.streams.items():
                samples = _stored(location, shards, advance)
                if stream == fields["text"].stream:
                    samples = with_text(samples, encoder, location)
                names = sorted(name for name, f in fields.items() if f.stream == stream)
                size = max(shard.num_samples for shard in shards)
                streams[stream] = write_stream(folder, stream, samples, names, size)
        embedded = DatasetIndex.build(
            with_encoding(index.image_spec, encoder),
            streams,
            fields,
            index.class_counts,
            {**index.recipe, "text_encoder": config.model_dump(mode="json")},
        )
        (folder / INDEX_NAME).write_text(embedded.to_json(), encoding="utf-8")
    return embedded


def with_encoding(spec: ImageSpec, encoder: TextEncoder[Any]) -> ImageSpec:
    """The spec of images whose captions an encoder has embedded."""
    return dataclasses.replace(spec, text_dim=encoder.size, text_encoding=encoder.encoding)


def _stored(
    location: str, shards: Iterable[ShardInfo], advance: Callable[[int], None]
) -> Iterator[EncodedSample]:
    """The samples of some shards as they are stored, without `text`."""
    cache = ShardCache(None, DataConfig().cache_bytes)
    for info in shards:
        for sample in _read_shard(location, info, cache):
            sample.members.pop("text.npy", None)
            yield sample
            advance(1)


def _read_shard(location: str, info: ShardInfo, cache: ShardCache) -> Iterator[EncodedSample]:
    """The samples of a shard in their order.

    Raises:
        ShardError: it is missing or damaged.
    """
    name = join_location(location, info.name)
    try:
        path, file = open_shard(location, info, cache)
        with file:
            if open_file_sha256(file) != info.sha256:
                fault = "is not what the index says: it has changed"
                raise ShardError(f"Shard {name} {fault}. {REBUILD}")
            file.seek(0)
            tar = tarfile.open(fileobj=file, mode="r:")
            for key, group in itertools.groupby(tar, lambda member: split_member(member, path)[0]):
                members = {
                    member.name.removeprefix(f"{key}."): os.pread(
                        file.fileno(), member.size, member.offset_data
                    )
                    for member in group
                }
                yield EncodedSample(key, members)
    except (OSError, tarfile.TarError) as err:
        raise ShardError(f"Shard {name} cannot be read ({err}). {REBUILD}") from err
