"""From a source to shards: decode, convert to one form, encode, shuffle, write, index."""

import itertools
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ganforge import __version__
from ganforge.config.models import DataConfig
from ganforge.data.order import permutation
from ganforge.data.prepare.embed_captions import text_schema, with_encoding, with_text
from ganforge.data.prepare.sample_encoder import PROBED, Encoded, SampleEncoder, probe_schema
from ganforge.data.prepare.spool import Spool
from ganforge.data.prepare.worker_pool import default_workers, encode_chunks, progress_bar
from ganforge.data.shards.index import INDEX_NAME, PIXEL_KINDS, DatasetIndex, FieldSchema, ShardInfo
from ganforge.data.shards.output_folder import new_folder
from ganforge.data.shards.writer import EncodedSample, write_stream
from ganforge.encoders.lookup import build_encoder
from ganforge.errors import DataError
from ganforge.interfaces.source import Source
from ganforge.interfaces.spec import ImageSpec
from ganforge.interfaces.text_encoder import TextEncoder
from ganforge.io.hashing import hash_key
from ganforge.registry.plugins import get_registry

logger = logging.getLogger(__name__)
_RECIPE_FIELDS = ("source", "resolution", "channels", "resize", "background", "samples_per_shard")


@dataclass
class _Preparation:
    """Writes the samples of a source, and counts what the index needs."""

    source: Source[Any]
    config: DataConfig
    needs: Mapping[str, str]
    """Fields that every sample must have, and why."""
    text_encoder: TextEncoder[Any] | None
    folder: Path
    workers: int
    seed: int
    counts: Counter[int] = field(default_factory=Counter)
    max_values: dict[str, int] = field(default_factory=dict)
    num_bad: int = 0

    def write(self, progress: bool) -> DatasetIndex:
        """Write all streams."""
        source, encoder = self.source, self.text_encoder
        streams: dict[str, tuple[ShardInfo, ...]] = {}
        fields: dict[str, FieldSchema] = {}
        with progress_bar(source.num_samples(), progress) as advance:
            for stream in source.streams():
                schema, streams[stream] = self._write_stream(stream, advance)
                twice = set(schema) & set(fields)
                if twice:
                    raise DataError(
                        f"Source '{source.name}' has the field '{min(twice)}' in two streams. Give "
                        f"the fields of each stream their own names."
                    )
                fields |= schema
        names = tuple(source.class_names()) if "label" in fields else ()
        for name, schema_of_field in fields.items():
            if schema_of_field.kind == "label":
                fields[name] = schema_of_field.model_copy(update={"size": len(names)})
            elif name in self.max_values:
                learnt = {"max_value": self.max_values[name]}
                fields[name] = schema_of_field.model_copy(update=learnt)
        spec = _image_spec(fields, names, tuple(source.attribute_names()))
        if encoder is not None:
            text_schema(fields, encoder, f"Source '{source.name}'")
            spec = with_encoding(spec, encoder)
        counts = tuple(self.counts[label] for label in range(len(names)))
        made_by = {**recipe(self.config, self.seed), "ganforge": __version__}
        return DatasetIndex.build(spec, streams, fields, counts, made_by)

    def _write_stream(
        self, stream: str, advance: Callable[[int], None]
    ) -> tuple[dict[str, FieldSchema], tuple[ShardInfo, ...]]:
        config = self.config
        is_only = len(self.source.streams()) == 1
        where = f"source '{self.source.name}'" + (
            f", stream '{stream}'" if stream != "main" else ""
        )
        samples = iter(self.source.samples(stream))
        first = list(itertools.islice(samples, PROBED))
        if not first:
            raise DataError(f"{where} has no samples. Check its path and options in data.source.")
        schema = probe_schema(config, stream, first, where)
        if is_only:
            self._check_fields(schema, where)
        encoder = SampleEncoder(config, schema, where)
        embedder = self.text_encoder if is_only or "caption" in schema else None
        if embedder is not None:
            schema["text"] = text_schema(schema, embedder, where)
        with Spool(self.folder / f"{stream}.spool") as spool:
            for done in encode_chunks(encoder, itertools.chain(first, samples), self.workers):
                for encoded in done:
                    if self._add(encoded):
                        spool.append(encoded.sample)
                advance(len(done))
            _check_spool(spool, where)
            places = permutation(len(spool), hash_key(self.seed, len(spool)))
            stored: Iterator[EncodedSample] = (spool.read(number) for number in places.tolist())
            if embedder is not None:
                stored = with_text(stored, embedder, where)
            names, size = sorted(schema), config.samples_per_shard
            return schema, write_stream(self.folder, stream, stored, names, size)

    def _add(self, encoded: Encoded) -> bool:
        """Count a sample; return whether to keep it."""
        if encoded.fault:
            self._count_bad(encoded.fault)
            return False
        if encoded.label is not None:
            if encoded.label not in self.counts:
                self._check_label(encoded.label, encoded.sample.key)
            self.counts[encoded.label] += 1
        for name, value in encoded.max_values.items():
            self.max_values[name] = max(value, self.max_values.get(name, 0))
        return True

    def _check_fields(self, schema: Mapping[str, FieldSchema], where: str) -> None:
        """Refuse samples that lack a needed field, before all of them are read."""
        for name, why in self.needs.items():
            if name not in schema:
                raise DataError(
                    f"The samples of {where} have no {name}, only {', '.join(sorted(schema))}, but "
                    f"{why}. Choose a source with them (labels: a folder per class, a column of a "
                    f"manifest), or an architecture without."
                )

    def _count_bad(self, fault: str) -> None:
        self.num_bad += 1
        if self.config.on_bad_sample == "error":
            raise DataError(f"{fault}. Repair or remove it, or set data.on_bad_sample: skip.")
        logger.warning("Left out: %s", fault)
        if self.num_bad > self.config.max_bad_samples:
            raise DataError(
                f"More than data.max_bad_samples={self.config.max_bad_samples} samples are bad; "
                f"the last: {fault}. Check the source with `ganforge data inspect`."
            )

    def _check_label(self, label: int, key: str) -> None:
        names = self.source.class_names()
        if not 0 <= label < len(names):
            raise DataError(
                f"Sample '{key}' of source '{self.source.name}' has the label {label}, but there "
                f"are {len(names)} classes (labels 0 to {len(names) - 1}). Correct the label, or "
                f"name all classes in data.source."
            )


def build_source(config: DataConfig) -> Source[Any]:
    """The source that `data.source` names.

    Raises:
        DataError: the file names none.
        PluginNotFound, ConfigError: it is unknown, or its options do not fit.
    """
    if config.source is None:
        raise DataError(
            "data.source is not set, so there is nothing to prepare. Set it, e.g. "
            "{name: folder, path: photos}, or set data.shards to an existing data set."
        )
    return get_registry().build(Source, config.source.name, config.source.options, "data.source")


def recipe(config: DataConfig, seed: int) -> dict[str, Any]:
    """The settings that decide the content of the shards, as the index records them."""
    values = config.model_dump(mode="json", include=set(_RECIPE_FIELDS))
    if config.text_encoder is not None:
        values["text_encoder"] = config.text_encoder.model_dump(mode="json")
    return {**values, "seed": seed}


def prepare(
    config: DataConfig,
    out: Path | str,
    *,
    workers: int | None = None,
    seed: int = 0,
    progress: bool = True,
    overwrite: bool = False,
    needs: Mapping[str, str] = MappingProxyType({}),
) -> DatasetIndex:
    """Write a source as shards.

    Samples are shuffled over the whole data set, because sources are often sorted by class. The
    encoded samples are on disk twice while this happens. `out` appears when all is written.

    Args:
        config: source, form of the images, samples per shard, what to do with bad samples.
        out: folder to write; must not exist, or be empty.
        workers: processes that decode and encode; 0 uses this process. Default: one per core
            except one, at most 16. The result does not depend on it.
        seed: of the shuffle.
        progress: show a bar.
        overwrite: replace a data set that is already there.
        needs: fields that every sample must have, and why; `data.use_labels` adds the label.

    Returns:
        the index that was written.

    Raises:
        DataError: no source, no samples, bad samples, a field is missing, or `out` cannot be
            written.
    """
    if config.use_labels:
        needs = {"label": "data.use_labels is true", **needs}
    source = build_source(config)
    encoder = None if config.text_encoder is None else build_encoder(config.text_encoder)
    workers = default_workers() if workers is None else workers
    with new_folder(out, overwrite) as folder:
        index = _Preparation(source, config, needs, encoder, folder, workers, seed).write(progress)
        (folder / INDEX_NAME).write_text(index.to_json(), encoding="utf-8")
    return index


def _check_spool(spool: Spool, where: str) -> None:
    if not len(spool):
        raise DataError(f"{where} has no readable samples. Check it with `ganforge data inspect`.")
    twice = spool.duplicate_key()
    if twice is not None:
        raise DataError(
            f"{where} gives the key '{twice}' to two samples. Keys must be unique: rename one of "
            f"the files."
        )


def _image_spec(
    fields: Mapping[str, FieldSchema], class_names: tuple[str, ...], attributes: tuple[str, ...]
) -> ImageSpec:
    """The spec of the images to generate: `image`, else `target`, else the first image field."""
    images = {name: f for name, f in fields.items() if f.kind in PIXEL_KINDS}
    if not images:
        raise DataError(
            f"The samples hold no image, only {', '.join(sorted(fields))}. Check data.source."
        )
    name = next((n for n in ("image", "target", "frames") if n in images), min(images))
    main, source = images[name], images.get("source")
    if source is not None and (source.height, source.width) != (main.height, main.width):
        raise DataError(
            f"'source' images are {source.height} x {source.width}, '{name}' images are "
            f"{main.height} x {main.width}. Set data.resolution to bring both to one size."
        )
    if "attributes" in fields and len(attributes) != fields["attributes"].size:
        raise DataError(
            f"The samples have {fields['attributes'].size} attributes, the source names "
            f"{len(attributes)}. Name each attribute in data.source."
        )
    return ImageSpec(
        main.height,
        main.width,
        main.channels,
        source.channels if source is not None and name != "source" else None,
        class_names,
        attributes if "attributes" in fields else (),
        fields["text"].size if "text" in fields else 0,
        main.num_frames,
    )
