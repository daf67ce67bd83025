"""Reports what would spoil training on a data set, raw or in shards: damage, sizes, labels."""

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ganforge.config.choices import ComponentChoice
from ganforge.config.data import DataConfig, FieldConfig
from ganforge.data.prepare.field_encoders import decode_value, origin_of
from ganforge.data.prepare.field_kinds import frames_of, is_clip, kind_of
from ganforge.data.prepare.guess_source import guess_source
from ganforge.data.prepare.source_to_shards import build_source
from ganforge.data.shards.index import INDEX_NAME, PIXEL_KINDS, DatasetIndex, load_index
from ganforge.data.shards.locations import is_remote
from ganforge.data.sources.left_out import LeftOutFiles, collected
from ganforge.errors import DataError, ShardError
from ganforge.imaging.channels import MODES
from ganforge.imaging.codec import Pixels, Undecodable
from ganforge.imaging.grids import named_grid
from ganforge.imaging.resize import flatten_alpha, scale
from ganforge.imaging.save import write_png
from ganforge.interfaces.source import Sample, Source

if TYPE_CHECKING:
    from ganforge.data.shards.reader import SampleReader

_SHEET_SIDE = 8
_THUMBNAIL = 64
_PAPER = 127
_LOW_ENTROPY = 0.5
_MAX_LISTED = 20


@dataclass
class DatasetReport:
    """The findings about a data set.

    Attributes:
        location: of the shards, or the source's name and options.
        num_samples: readable samples by stream.
        sizes: images by "HEIGHT x WIDTH x CHANNELS, BITS bits".
        class_counts: samples by class name; empty without labels.
        label_entropy: entropy of the labels relative to balanced classes, 0 to 1; None without.
        left_out: files that are no samples, by reason.
        num_bad: samples that cannot be read.
        bad: messages about the first bad samples.
        warnings: what would spoil training.
        contact_sheet: the picture of the first images, if requested.
        digest: of the index, for shards.
    """

    location: str
    num_samples: dict[str, int] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    class_counts: dict[str, int] = field(default_factory=dict)
    label_entropy: float | None = None
    left_out: list[LeftOutFiles] = field(default_factory=list)
    num_bad: int = 0
    bad: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    contact_sheet: str | None = None
    digest: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready mapping."""
        return asdict(self)


@dataclass
class _Seen:
    """One sample, decoded."""

    stream: str
    sizes: Counter[str] = field(default_factory=Counter)
    images: list[Pixels] = field(default_factory=list)
    """The image of each field; of a clip the first frame, because all may be too many to hold."""
    label: int | None = None
    fault: str = ""

    def add(self, frames: Iterable[Pixels]) -> None:
        """Count the image of a field, or the frames of a clip."""
        for number, img in enumerate(frames):
            height, width, channels = img.shape
            self.sizes[f"{height} x {width} x {channels}, {8 * img.dtype.itemsize} bits"] += 1
            if number == 0:
                self.images.append(img)


def inspect(
    location: str | DataConfig,
    *,
    contact_sheet: Path | None = None,
    max_samples: int | None = None,
) -> DatasetReport:
    """Decode a data set and report on it. Damage is reported, not raised.

    Args:
        location: shards (folder or URL with index.json), a raw folder, zip or manifest, or the
            data section of a pipeline file, whose source is read.
        contact_sheet: PNG to write with the first images.
        max_samples: samples to read of each stream; all when omitted.

    Raises:
        DataError: there is no data set, or the contact sheet cannot be written.
    """
    if isinstance(location, str) and _holds_shards(location):
        index = load_index(location)
        report = DatasetReport(location, digest=index.digest)
        names: tuple[str, ...] = index.image_spec.class_names
        seen = _see_shards(location, index, max_samples)
        _collect(report, seen, lambda: names, contact_sheet)
        return report
    if isinstance(location, str):
        guessed = ComponentChoice.model_validate(guess_source(location))
        location = DataConfig(source=guessed)
    source = build_source(location)
    report = DatasetReport(f"{source.name} {source.config.model_dump(exclude_defaults=True)}")
    with collected() as found:
        seen = _see_source(source, location.fields, max_samples)
        _collect(report, seen, source.class_names, contact_sheet)
    report.warnings += [each.useless_folders for each in found if each.useless_folders]
    report.left_out = [files for each in found for files in each.files()]
    return report


def _holds_shards(location: str) -> bool:
    return is_remote(location) or (Path(location) / INDEX_NAME).is_file()


def _see_source(
    source: Source[Any], fields: Mapping[str, FieldConfig], limit: int | None
) -> Iterator[_Seen]:
    for stream in source.streams():
        for sample in itertools.islice(source.samples(stream), limit):
            yield _see_sample(stream, sample, fields)


def _see_sample(stream: str, sample: Sample, fields: Mapping[str, FieldConfig]) -> _Seen:
    if sample.fault:
        return _Seen(stream, fault=f"Sample '{sample.key}': {sample.fault}")
    label = sample.fields.get("label")
    seen = _Seen(stream, label=label if isinstance(label, int) else None)
    for name, value in sample.fields.items():
        options = fields.get(name, FieldConfig())
        kind = kind_of(name, value, options)
        if kind not in PIXEL_KINDS:
            continue
        try:
            frames = frames_of(value, is_clip(kind, value))
            seen.add(decode_value(f, kind == "labels", options.value_range) for f in frames)
        except Undecodable as err:
            seen.fault = f"Sample '{sample.key}': field '{name}'{origin_of(value)} {err}"
    return seen


def _see_shards(location: str, index: DatasetIndex, limit: int | None) -> Iterator[_Seen]:
    from ganforge.data.shards.reader import SampleReader, check_shards_present  # imports torch

    check_shards_present(location, index)
    reader = SampleReader(DataConfig(on_bad_sample="error"), location, index)
    for stream, shards in index.streams.items():
        places = ((n, row) for n, shard in enumerate(shards) for row in range(shard.num_samples))
        for shard, sample in itertools.islice(places, limit):
            yield _see_stored(reader, stream, shard, sample)
    reader.close()


def _see_stored(reader: "SampleReader", stream: str, shard: int, sample: int) -> _Seen:
    fields = reader.index.stream_fields(stream)
    try:
        values, _ = reader.batch(stream, np.array([[shard, sample]]), fields)
    except ShardError as err:
        return _Seen(stream, fault=str(err))
    seen = _Seen(stream)
    for name in fields:
        schema, value = reader.index.fields[name], values[name]
        if schema.kind == "label":
            seen.label = int(value[0])
        elif schema.kind in PIXEL_KINDS and not isinstance(value, list):
            shape = (-1, *value.shape[-3:])
            images = value.reshape(shape).permute(0, 2, 3, 1).numpy()
            depth = np.uint8 if schema.bit_depth == 8 else np.uint16
            seen.add(np.ascontiguousarray(img, dtype=depth) for img in images)
    return seen


def _collect(
    report: DatasetReport, samples: Iterator[_Seen], class_names: Any, contact_sheet: Path | None
) -> None:
    labels: Counter[int] = Counter()
    sizes: Counter[str] = Counter()
    thumbnails: list[Image.Image] = []
    for seen in samples:
        if seen.fault:
            report.num_bad += 1
            if len(report.bad) < _MAX_LISTED:
                report.bad.append(seen.fault)
            continue
        report.num_samples[seen.stream] = report.num_samples.get(seen.stream, 0) + 1
        if seen.label is not None:
            labels[seen.label] += 1
        sizes += seen.sizes
        if contact_sheet is not None and len(thumbnails) < _SHEET_SIDE**2:
            thumbnails += [_thumbnail(img) for img in seen.images]
    report.sizes = dict(sizes.most_common())
    _describe_labels(report, labels, list(class_names()))
    _warn(report)
    if contact_sheet is not None and thumbnails:
        _write_sheet(thumbnails[: _SHEET_SIDE**2], contact_sheet)
        report.contact_sheet = str(contact_sheet)


def _describe_labels(report: DatasetReport, labels: Counter[int], names: list[str]) -> None:
    if not names:
        return
    report.class_counts = {name: labels[label] for label, name in enumerate(names)}
    total = sum(report.class_counts.values())
    shares = [count / total for count in report.class_counts.values() if count]
    entropy = -sum(share * math.log(share) for share in shares)
    report.label_entropy = entropy / math.log(len(names)) if len(names) > 1 else 0.0
    outside = sorted(label for label in labels if not 0 <= label < len(names))
    if outside:
        report.warnings.append(
            f"The label {outside[0]} has no class name; there are {len(names)}. Correct it."
        )


def _warn(report: DatasetReport) -> None:
    total = sum(report.num_samples.values())
    if not total:
        report.warnings.append("No sample can be read.")
    if report.num_bad:
        report.warnings.append(
            f"{report.num_bad} samples cannot be read. Repair them, or set "
            f"data.on_bad_sample: skip."
        )
    if report.label_entropy is not None and report.label_entropy < _LOW_ENTROPY:
        report.warnings.append(
            f"The labels say little: their entropy is {report.label_entropy:.2f} of the possible. "
            f"If classes were expected to be balanced, check the folder level or label column."
        )
    empty = [name for name, count in report.class_counts.items() if not count]
    if empty and total:
        report.warnings.append(f"{len(empty)} classes have no samples; the first is '{empty[0]}'.")
    if len(report.sizes) > 1:
        report.warnings.append(
            f"Images have {len(report.sizes)} different sizes or formats. Set data.resolution and "
            f"data.channels."
        )


def _thumbnail(img: Pixels) -> Image.Image:
    """At most 64 x 64 pixels of RGB on gray paper, with the aspect ratio kept."""
    if img.shape[2] not in MODES:
        img = np.ascontiguousarray(img[..., :1])
    if img.dtype == np.uint16:
        img = (img.astype(np.float32) * (255 / max(1, int(img.max())))).astype(np.uint8)
    ratio = _THUMBNAIL / max(img.shape[:2])
    small = scale(img, *(max(1, round(side * ratio)) for side in img.shape[:2]))
    if small.shape[2] == 4:
        small = flatten_alpha(small, 255.0)
    paper = np.full((_THUMBNAIL, _THUMBNAIL, 3), _PAPER, dtype=np.uint8)
    paper[: small.shape[0], : small.shape[1]] = small
    return Image.fromarray(paper)


def _write_sheet(thumbnails: list[Image.Image], path: Path) -> None:
    try:
        write_png(path, named_grid(thumbnails, _SHEET_SIDE))
    except OSError as err:
        raise DataError(
            f"The contact sheet cannot be written to {path} ({err}). Choose another place."
        ) from err
