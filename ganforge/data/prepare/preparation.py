"""Writes the samples of a source: decode, convert to one form, encode, shuffle, write, index."""

import itertools
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganforge import __version__
from ganforge.config.data import DataConfig
from ganforge.data.order import permutation
from ganforge.data.prepare.embed_captions import text_schema, with_encoding, with_text
from ganforge.data.prepare.image_spec import check_sizes, image_spec
from ganforge.data.prepare.learned import Learned
from ganforge.data.prepare.probe import PROBED, check_field_names, probe_schema
from ganforge.data.prepare.recipe import recipe
from ganforge.data.prepare.sample_encoder import Encoded, SampleEncoder
from ganforge.data.prepare.short_clips import LongClips
from ganforge.data.prepare.spool import Spool
from ganforge.data.prepare.spool_folder import SpoolFolder
from ganforge.data.prepare.take_over import take_over
from ganforge.data.prepare.worker_pool import encode_chunks, progress_bar
from ganforge.data.shards.index import INDEX_NAME, DatasetIndex, FieldSchema, ShardInfo
from ganforge.data.shards.writer import EncodedSample, write_stream
from ganforge.data.sources.left_out import MORE_FRAMES, LeftOut, collected, total
from ganforge.encoders.lookup import build_encoder
from ganforge.errors import DataError
from ganforge.interfaces.source import Sample, Source
from ganforge.io.hashing import hash_key

logger = logging.getLogger(__name__)


@dataclass
class _Written:
    """What a folder holds so far."""

    streams: dict[str, tuple[ShardInfo, ...]] = field(default_factory=dict)
    class_counts: Counter[int] = field(default_factory=Counter)

    def write(
        self,
        folder: Path,
        stream: str,
        samples: Iterator[EncodedSample],
        fields: Iterable[str],
        samples_per_shard: int,
    ) -> None:
        """Write a stream into the folder."""
        counted, names = self._counted(samples), sorted(fields)
        self.streams[stream] = write_stream(folder, stream, counted, names, samples_per_shard)

    def _counted(self, samples: Iterator[EncodedSample]) -> Iterator[EncodedSample]:
        """The samples, whose classes are counted on the way."""
        for sample in samples:
            if "label.cls" in sample.members:
                self.class_counts[int(sample.members["label.cls"])] += 1
            yield sample


@dataclass
class Preparation:
    """Writes the samples of a source into one folder, or part of them into a second one."""

    source: Source[Any]
    config: DataConfig
    folder: Path
    workers: int
    seed: int
    needs: Mapping[str, str] = field(default_factory=dict)
    """Fields that every sample must have, and why."""
    held_out: Path | None = None
    """Folder for `data.validation.num_samples`; None when nothing is held out."""
    like: DatasetIndex | None = None
    """The training data whose form the samples get; None to find it in the first samples."""
    spools: SpoolFolder = field(default_factory=SpoolFolder)
    """Keeps what is encoded, should this process be stopped."""
    learned: Learned = field(default_factory=Learned)
    num_bad: int = 0
    num_more_frames: int = 0

    def __post_init__(self) -> None:
        choice = self.config.text_encoder
        self.text_encoder = None if choice is None else build_encoder(choice)

    def write(self, progress: bool) -> DatasetIndex:
        """Write all streams, and the index of each folder; gives the index of the first one."""
        written = {self.folder: _Written()}
        if self.held_out is not None:
            written[self.held_out] = _Written()
        fields: dict[str, FieldSchema] = {}
        source = self.source
        if self.like is not None and not self._is_joined:
            _check_streams(source, self.like)
        with collected() as found, progress_bar(source.num_samples(), progress) as advance:
            for stream in source.streams():
                schema = self._write_stream(stream, written, advance)
                twice = set(schema) & set(fields)
                if twice:
                    raise DataError(
                        f"Source '{source.name}' has the field '{min(twice)}' in two streams. Give "
                        f"the fields of each stream their own names."
                    )
                fields |= schema
        check_field_names(self.config, fields, f"source '{source.name}'")
        indexes = [self._write_index(path, fields, one) for path, one in written.items()]
        self._say_left_out(found)
        return indexes[0]

    @property
    def _is_joined(self) -> bool:
        """Whether the samples are pairs of what the training data have in two streams."""
        several = self.like is not None and len(self.like.streams) > 1
        return several and len(self.source.streams()) == 1

    @property
    def _made_by(self) -> dict[str, Any]:
        return {**recipe(self.config, self.seed), "ganforge": __version__}

    def _say_left_out(self, found: Iterable[LeftOut]) -> None:
        """Log the number of files and samples that are left out, in one line."""
        counts = {"bad samples": self.num_bad, MORE_FRAMES: self.num_more_frames, **total(found)}
        parts = [f"{count} {reason}" for reason, count in counts.items() if count]
        if parts:
            logger.info("Left out in all: %s.", ", ".join(parts))

    def _write_index(
        self, folder: Path, fields: Mapping[str, FieldSchema], written: _Written
    ) -> DatasetIndex:
        source, encoder = self.source, self.text_encoder
        names = tuple(source.class_names()) if "label" in fields else ()
        learned = self.learned.complete(fields, names, self.config, self.like)
        spec = image_spec(learned, names, tuple(source.attribute_names()))
        if encoder is not None:
            text_schema(fields, encoder, f"Source '{source.name}'")
            spec = with_encoding(spec, encoder)
        counts = tuple(written.class_counts[label] for label in range(len(names)))
        index = DatasetIndex.build(spec, written.streams, learned, counts, self._made_by)
        (folder / INDEX_NAME).write_text(index.to_json(), encoding="utf-8")
        return index

    def _write_stream(
        self, stream: str, written: Mapping[Path, _Written], advance: Callable[[int], None]
    ) -> dict[str, FieldSchema]:
        where = "validation " * (self.like is not None) + f"source '{self.source.name}'"
        where += f", stream '{stream}'" if stream != "main" else ""
        long = LongClips(self.config, where)
        samples = long.of(iter(self.source.samples(stream)))
        first = list(itertools.islice(samples, PROBED))
        if not first:
            long.report()
            raise DataError(f"{where} has no samples. Check its path and options in data.source.")
        schema = self._schema(stream, first, where)
        encoder = SampleEncoder(self.config, schema, where)
        is_only = len(self.source.streams()) == 1
        embedder = self.text_encoder if is_only or "caption" in schema else None
        if embedder is not None:
            schema["text"] = text_schema(schema, embedder, where)
        form = {name: f.model_dump(mode="json") for name, f in encoder.schema.items()}
        with self.spools.open(stream, self._made_by, form, self.folder) as spool:
            self._fill(spool, encoder, itertools.chain(first, samples), advance)
            long.report()
            _check_spool(spool, where)
            for path, numbers in self._parts(spool, where).items():
                stored: Iterator[EncodedSample] = map(spool.read, numbers.tolist())
                if embedder is not None:
                    stored = with_text(stored, embedder, where)
                written[path].write(path, stream, stored, schema, self.config.samples_per_shard)
        return schema

    def _fill(
        self,
        spool: Spool,
        encoder: SampleEncoder,
        samples: Iterator[Sample],
        advance: Callable[[int], None],
    ) -> None:
        """Encode the samples, but for those that an earlier process has encoded."""

        def add(encoded: Encoded) -> None:
            self._add(encoded)
            advance(1)

        rest = take_over(spool, samples, add, encoder)
        for done in encode_chunks(encoder, rest, self.workers):
            for encoded in done:
                add(encoded)
                spool.append(encoded)
            spool.flush()

    def _schema(self, stream: str, first: list[Sample], where: str) -> dict[str, FieldSchema]:
        """The schema of a stream before captions are embedded."""
        if self.like is None:
            schema = probe_schema(self.config, stream, first, where)
            check_sizes(schema)
        else:
            known = self.like.fields.items()
            schema = {
                name: f.model_copy(update={"stream": stream})
                for name, f in known
                if self._is_joined or f.stream == stream
            }
            if self.text_encoder is not None:
                schema.pop("text", None)
        if len(self.source.streams()) == 1:
            check_field_names(self.config, schema, where)
            self._check_fields(schema, where)
        return schema

    def _parts(self, spool: Spool, where: str) -> dict[Path, NDArray[np.int64]]:
        """The shuffled samples of each folder: those to train on, and those held out."""
        order = permutation(len(spool), hash_key(self.seed, len(spool)))
        count = self.config.validation.num_samples if self.config.validation else None
        if self.held_out is None or count is None:
            return {self.folder: order}
        is_held_out = spool.grouped_with(order[:count])[order]
        if is_held_out.all():
            raise DataError(
                f"data.validation.num_samples={count} leaves nothing to train on: {where} has "
                f"{len(spool)} samples (pieces of one video stay together). Lower it."
            )
        return {self.folder: order[~is_held_out], self.held_out: order[is_held_out]}

    def _add(self, encoded: Encoded) -> None:
        """Learn from a sample, or count it as bad."""
        if encoded.fault:
            self._count_bad(encoded.fault)
            return
        if encoded.label is not None:
            self._check_label(encoded.label, encoded.sample.key)
        self.learned.add(encoded)
        self.num_more_frames += encoded.has_more

    def _check_fields(self, schema: Mapping[str, FieldSchema], where: str) -> None:
        """Refuse samples that lack a needed field, before all of them are read."""
        if self.config.derive is not None and "source" in schema:
            raise DataError(
                f"data.derive ({self.config.derive.name}) makes a source from each image, but the "
                f"samples of {where} have a source. Remove data.derive, or use images only."
            )
        for name, why in self.needs.items():
            if name not in schema:
                raise DataError(
                    f"The samples of {where} have no {name}, only {', '.join(sorted(schema))}, but "
                    f"{why}. Choose a source with them (labels: a folder per class, a column of a "
                    f"manifest; pairs: two folders), or an architecture without."
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


def _check_streams(source: Source[Any], like: DatasetIndex) -> None:
    if set(source.streams()) != set(like.streams):
        raise DataError(
            f"Source '{source.name}' has the streams {', '.join(source.streams())}, the training "
            f"data have {', '.join(like.streams)}. Use a source of the same kind."
        )


def _check_spool(spool: Spool, where: str) -> None:
    if not len(spool):
        raise DataError(f"{where} has no readable samples. Check it with `ganforge data inspect`.")
    twice = spool.duplicate_key()
    if twice is not None:
        raise DataError(
            f"{where} gives the key '{twice}' to two samples. Keys must be unique: rename one of "
            f"the files."
        )
