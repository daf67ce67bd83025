"""Reports what would spoil training on a data set, raw or in shards: damage, sizes, labels."""

import hashlib
import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

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
from ganforge.data.sources.left_out import LeftOutFiles, collected, more_frames
from ganforge.data.sources.shard_urls import names_tar
from ganforge.errors import DataError, ShardError
from ganforge.imaging.channels import MODES
from ganforge.imaging.codec import Pixels, Undecodable, read_image_file
from ganforge.imaging.further_frames import has_more_frames
from ganforge.imaging.grids import named_grid
from ganforge.imaging.resize import flatten_alpha, scale
from ganforge.imaging.save import write_png
from ganforge.interfaces.source import Sample, Source
from ganforge.redaction import redacted

if TYPE_CHECKING:
    from ganforge.data.shards.reader import SampleReader

_SHEET_SIDE = 8
_THUMBNAIL = 64
_PAPER = 127
_LOW_ENTROPY = 0.5
_MAX_LISTED = 20


class ImageForm(NamedTuple):
    """Size in pixels, channels and bits per channel of an image."""

    height: int
    width: int
    channels: int
    bits: int

    def __str__(self) -> str:
        return f"{self.height} x {self.width} x {self.channels}, {self.bits} bits"


@dataclass
class DatasetReport:
    """The findings about a data set.

    Attributes:
        location: of the shards, or the source's name and options.
        num_samples: readable samples by stream.
        forms: number of images of each size, number of channels and bit depth.
        num_duplicates: samples whose first image equals that of an earlier sample, pixel by pixel.
        num_transparent: samples with an image that has transparent pixels.
        brightness: mean of the opaque pixels of transparent images, 0 to 255; None without any.
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
    forms: dict[ImageForm, int] = field(default_factory=dict)
    num_duplicates: int = 0
    num_transparent: int = 0
    brightness: float | None = None
    class_counts: dict[str, int] = field(default_factory=dict)
    label_entropy: float | None = None
    left_out: list[LeftOutFiles] = field(default_factory=list)
    num_bad: int = 0
    bad: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    contact_sheet: str | None = None
    digest: str | None = None

    @property
    def sizes(self) -> dict[str, int]:
        """Images by "HEIGHT x WIDTH x CHANNELS, BITS bits"."""
        return {str(form): count for form, count in self.forms.items()}

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready mapping."""
        found = asdict(self)
        del found["forms"]
        return {**found, "sizes": self.sizes}


@dataclass
class _Seen:
    """One sample, decoded."""

    stream: str
    forms: Counter[ImageForm] = field(default_factory=Counter)
    images: list[Pixels] = field(default_factory=list)
    """The image of each field; of a clip the first frame, because all may be too many to hold."""
    label: int | None = None
    more_frames: str = ""
    """The sample's key, if an image of it has further frames or pages."""
    fault: str = ""

    def add(self, frames: Iterable[Pixels]) -> None:
        """Count the image of a field, or the frames of a clip."""
        for number, img in enumerate(frames):
            height, width, channels = img.shape
            self.forms[ImageForm(height, width, channels, 8 * img.dtype.itemsize)] += 1
            if number == 0:
                self.images.append(img)


def inspect(
    location: str | DataConfig,
    *,
    contact_sheet: Path | None = None,
    max_samples: int | None = None,
    spread: bool = False,
) -> DatasetReport:
    """Decode a data set and report on it. Damage is reported, not raised.

    Args:
        location: shards (folder or URL with index.json); what `guess_source` takes, such as a
            folder or a tar; or the data section of a pipeline file, whose source is read.
        contact_sheet: PNG to write with the first images.
        max_samples: samples to read of each stream; all when omitted.
        spread: take them evenly over a source whose size is known, instead of the first.

    Raises:
        DataError: there is no data set, or the contact sheet cannot be written.
    """
    if isinstance(location, str) and _holds_shards(location):
        index = load_index(location)
        report = DatasetReport(redacted(location), digest=index.digest)
        names: tuple[str, ...] = index.image_spec.class_names
        seen = _see_shards(location, index, max_samples)
        _collect(report, seen, lambda: names, contact_sheet)
        return report
    if isinstance(location, str):
        guessed = ComponentChoice.model_validate(guess_source(location))
        location = DataConfig(source=guessed)
    source = build_source(location)
    options = redacted(source.config.model_dump(exclude_defaults=True))
    report = DatasetReport(f"{source.name} {options}")
    with collected() as found:
        step = _step(source, max_samples) if spread else 1
        seen = _see_source(source, location.fields, max_samples, step)
        _collect(report, seen, source.class_names, contact_sheet)
    report.warnings += [each.useless_folders for each in found if each.useless_folders]
    report.left_out += [files for each in found for files in each.files()]
    return report


class _PixelFacts:
    """What only the pixels tell: duplicates and transparency."""

    def __init__(self) -> None:
        self._hashes: Counter[bytes] = Counter()
        self._brightness: list[float] = []

    def add(self, images: list[Pixels]) -> None:
        """Look at the images of a sample."""
        if images:
            content = hashlib.blake2b(str(images[0].shape).encode(), digest_size=16)
            content.update(np.ascontiguousarray(images[0]).data)
            self._hashes[content.digest()] += 1
        see_through = next(filter(_is_transparent, images), None)
        if see_through is not None:
            self._brightness.append(_opaque_brightness(see_through))

    def describe(self, report: DatasetReport) -> None:
        """Put the counts into a report."""
        report.num_duplicates = sum(self._hashes.values()) - len(self._hashes)
        report.num_transparent = len(self._brightness)
        known = [value for value in self._brightness if not math.isnan(value)]
        report.brightness = sum(known) / len(known) if known else None


def _is_transparent(img: Pixels) -> bool:
    return img.shape[2] == 4 and bool(img[..., 3].min() < np.iinfo(img.dtype).max)


def _opaque_brightness(img: Pixels) -> float:
    """Mean of the colors of RGBA pixels, weighted by their opacity, 0 to 255; nan if none is."""
    peak = float(np.iinfo(img.dtype).max)
    opacity = img[..., 3:].astype(np.float32) / peak
    total = float(opacity.sum()) * 3
    return float((img[..., :3] * opacity).sum()) / total / peak * 255 if total else math.nan


def _holds_shards(location: str) -> bool:
    """Whether there is an index; of an address as far as its form tells, unread."""
    if location.startswith("pipe:"):
        return "{}" in location
    if is_remote(location):
        return not (names_tar(location) or Path(location.partition("?")[0]).suffix)
    return (Path(location) / INDEX_NAME).is_file()


def _step(source: Source[Any], limit: int | None) -> int:
    """Every how many samples one is taken, so that `limit` of them are spread over the source."""
    count = source.num_samples()
    return max(1, count // len(source.streams()) // limit) if count and limit else 1


def _see_source(
    source: Source[Any], fields: Mapping[str, FieldConfig], limit: int | None, step: int = 1
) -> Iterator[_Seen]:
    for stream in source.streams():
        stop = None if limit is None else limit * step
        for sample in itertools.islice(source.samples(stream), 0, stop, step):
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
            if isinstance(value, Path | bytes):
                value = read_image_file(value) if isinstance(value, Path) else value
                seen.more_frames = seen.more_frames or sample.key * has_more_frames(value)
            frames = frames_of(value, is_clip(kind, value))
            seen.add(decode_value(f, kind == "labels", options.value_range) for f in frames)
        except Undecodable as err:
            seen.fault = (
                f"Sample '{sample.key}': field '{name}'{origin_of(sample.fields[name])} {err}"
            )
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
    forms: Counter[ImageForm] = Counter()
    pixels = _PixelFacts()
    thumbnails: list[Image.Image] = []
    animated: list[str] = []
    for seen in samples:
        if seen.fault:
            report.num_bad += 1
            if len(report.bad) < _MAX_LISTED:
                report.bad.append(seen.fault)
            continue
        report.num_samples[seen.stream] = report.num_samples.get(seen.stream, 0) + 1
        if seen.label is not None:
            labels[seen.label] += 1
        forms += seen.forms
        animated += [seen.more_frames] * bool(seen.more_frames)
        pixels.add(seen.images)
        if contact_sheet is not None and len(thumbnails) < _SHEET_SIDE**2:
            thumbnails += [_thumbnail(img) for img in seen.images]
    report.forms = dict(forms.most_common())
    pixels.describe(report)
    if animated:
        report.left_out.append(more_frames(report.location, len(animated), animated[0]))
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
    entropy = abs(sum(share * math.log(share) for share in shares))
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
    if len(report.forms) > 1:
        report.warnings.append(
            f"Images have {len(report.forms)} different sizes or formats. Set data.resolution and "
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
