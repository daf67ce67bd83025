"""Embeds the captions of a data set once, so that training reads vectors.

`prepare` does it while it writes when `data.text_encoder` is set; `embed` writes shards that exist
anew, with the field `text` beside the field `caption`.
"""

import dataclasses
import itertools
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganforge.config.models import ComponentConfig, DataConfig
from ganforge.data.prepare.sample_encoder import npy_bytes
from ganforge.data.prepare.worker_pool import progress_bar
from ganforge.data.shards.field_readers import caption_lines
from ganforge.data.shards.index import INDEX_NAME, DatasetIndex, FieldSchema, ShardInfo, load_index
from ganforge.data.shards.locations import (
    ShardCache,
    default_cache_dir,
    is_remote,
    join_location,
)
from ganforge.data.shards.member_table import REBUILD, split_member
from ganforge.data.shards.output_folder import check_apart, new_folder
from ganforge.data.shards.writer import EncodedSample, write_stream
from ganforge.errors import ConfigError, DataError, ShardError
from ganforge.interfaces.spec import ImageSpec, TextEncoding
from ganforge.interfaces.text_encoder import TextEncoder, check_same_encoding, describe_encoding
from ganforge.io.hashing import file_sha256
from ganforge.registry.plugins import get_registry

_CHUNK = 256


def build_encoder(config: ComponentConfig, where: str = "data.text_encoder") -> TextEncoder[Any]:
    """The text encoder that a pipeline file names; nothing of it is loaded yet.

    Raises:
        PluginNotFound, ConfigError: it is unknown, or its options do not fit.
    """
    return get_registry().build(TextEncoder, config.name, config.options, where)


def encoder_of(
    encoding: TextEncoding | None, changes: Mapping[str, Any] | None = None
) -> TextEncoder[Any]:
    """The encoder that made a model's conditions, loaded and known to be the same.

    Args:
        encoding: kept with the model.
        changes: options that differ on this machine, such as where files lie.

    Raises:
        ConfigError: the model does not say which, the encoder cannot be loaded, or it is another.
    """
    if encoding is None:
        raise ConfigError(
            "This model does not say which encoder made its caption embeddings, so it cannot read "
            "text. Give vectors: text=[N, D] floats in Python."
        )
    config = ComponentConfig(name=encoding.name, **{**encoding.options, **(changes or {})})
    try:
        encoder = build_encoder(config, "text_encoder")
        revision = encoder.revision
    except DataError as err:
        own = build_encoder(ComponentConfig(name=encoding.name, **encoding.options))
        raise ConfigError(
            f"This model reads text by {describe_encoding(encoding)}, which cannot be loaded "
            f"here: {err} {_how_to_move(own)}"
        ) from err
    if revision != encoding.revision:
        raise ConfigError(
            f"This model reads text by {describe_encoding(encoding)}; the one found here has "
            f"revision {revision[:12]}, so its vectors differ. {_how_to_move(encoder)}"
        )
    return encoder


def _how_to_move(encoder: TextEncoder[Any]) -> str:
    if not encoder.local_options:
        return "Install the version of the encoder's package that the model was trained with."
    option = encoder.local_options[0]
    return (
        f"Say where it is: --text-encoder {option}=PATH, or text_encoder={{'{option}': PATH}} in "
        f"Python."
    )


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
        parts = torch.split(vectors, [len(texts) for texts in captions])
        for sample, part in zip(chunk, parts, strict=True):
            yield EncodedSample(sample.key, {**sample.members, "text.npy": _npy(part)})


def _captions_of(sample: EncodedSample, where: str) -> list[str]:
    lines = caption_lines(sample.members["caption.txt"].decode("utf-8"))
    if not lines:
        raise DataError(
            f"Sample '{sample.key}' of {where} has an empty caption, which cannot be embedded. "
            f"Write one, or leave the sample out."
        )
    return lines


def _npy(vectors: Tensor) -> bytes:
    return npy_bytes(vectors.float().numpy())


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


def check_embeddings(index: DatasetIndex, spec: ImageSpec, location: str) -> None:
    """Refuse shards whose caption embeddings are not what a model was trained on.

    Args:
        index: of the shards.
        spec: of the model's images; a model without captions accepts any shards.
        location: of the shards, for the message.

    Raises:
        ConfigError: another encoder, or another size.
    """
    has = index.image_spec
    if not spec.text_dim or not has.text_dim:
        return
    check_same_encoding(has.text_encoding, spec.text_encoding, f"The shards at {location}")
    if has.text_dim != spec.text_dim:
        raise ConfigError(
            f"The shards at {location} have caption embeddings of size {has.text_dim}, the model "
            f"reads size {spec.text_dim}. Embed them with the model's encoder: `ganforge data "
            f"embed`."
        )


def embed(
    location: str,
    out: Path | str,
    config: ComponentConfig,
    *,
    overwrite: bool = False,
    progress: bool = True,
) -> DatasetIndex:
    """Write shards anew with the embeddings of their captions.

    The order of samples is kept; embeddings that are there already are replaced.

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
    for info in shards:
        url = join_location(location, info.name)
        if is_remote(location):
            limit = DataConfig().cache_bytes
            path = ShardCache(default_cache_dir(), limit).path(url, info.sha256, info.num_bytes)
        else:
            path = Path(url)
        for sample in read_shard(path, info):
            sample.members.pop("text.npy", None)
            yield sample
            advance(1)


def read_shard(path: Path, info: ShardInfo) -> Iterator[EncodedSample]:
    """The samples of a local shard in their order.

    Raises:
        ShardError: it is missing or damaged.
    """
    try:
        if file_sha256(path) != info.sha256:
            raise ShardError(f"Shard {path} is not what the index says: it has changed. {REBUILD}")
        with tarfile.open(path, mode="r:") as tar:
            for key, group in itertools.groupby(tar, lambda member: split_member(member, path)[0]):
                members = {
                    member.name.removeprefix(f"{key}."): _content(tar, member) for member in group
                }
                yield EncodedSample(key, members)
    except (OSError, tarfile.TarError) as err:
        raise ShardError(f"Shard {path} cannot be read ({err}). {REBUILD}") from err


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = tar.extractfile(member)
    return b"" if stream is None else stream.read()
