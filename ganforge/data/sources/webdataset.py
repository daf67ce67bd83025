"""Tar shards, on disk or anywhere webdataset can read: images with what lies beside them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from pydantic import Field

from ganforge.config.models import StrictModel
from ganforge.data.sources.class_names import (
    MAX_DIGITS,
    class_name,
    count_classes,
    natural_order,
    occurring_classes,
)
from ganforge.data.sources.file_labels import (
    FileLabels,
    file_labels,
    read_label_file,
    say_classes,
    shared_top,
)
from ganforge.data.sources.image_files import EXTENSIONS, ImageChoice, key_of
from ganforge.data.sources.shard_urls import expand_shards, shard_names
from ganforge.data.sources.tar_samples import TarReader, TarSample, local_path
from ganforge.errors import DataError, suggest
from ganforge.interfaces.source import Sample, Source

_IMAGES = ";".join(sorted(extension[1:] for extension in EXTENSIONS))
_JSON = "json:"


class WebDatasetConfig(StrictModel):
    """Options of the `webdataset` source."""

    urls: str | tuple[str, ...] = Field(
        description="Tars, also gzipped: photos-{000000..000099}.tar, photos/*.tar, a folder of "
        "them, a URL or pipe:COMMAND."
    )
    image: str = Field(
        _IMAGES,
        description="Extensions of the image; the first found is used. Default: every image is a "
        "sample, whatever its extension.",
    )
    label: str | None = Field(
        "cls;json:label",
        description="Extensions of the label, or json:KEY for a value in a JSON member; the first "
        "found is used. null for none.",
    )
    labels: bool | None = Field(
        None,
        description="Folders in the tars are classes, where no sample has a label. Default: when "
        "all images lie in two or more. false: no labels at all.",
    )
    caption: str | None = Field("txt", description="Extension of the caption, if there.")
    class_names: tuple[str, ...] = Field(
        (), description="In label order. Default: the labels that occur, sorted."
    )


@dataclass(frozen=True)
class _FirstPass:
    """Labels by key, and the samples whose label cannot be read, with the reason."""

    num_samples: int
    labels: FileLabels
    faults: Mapping[str, str]


class WebDatasetSource(Source[WebDatasetConfig]):
    """Samples in tar shards; labels from members beside the images, or from folders."""

    name, Config = "webdataset", WebDatasetConfig

    def __init__(self, config: WebDatasetConfig) -> None:
        super().__init__(config)
        self._numbers: list[str] = []
        self._num_labels = 0
        self._label_from = [] if config.labels is False else (config.label or "").split(";")

    @cached_property
    def _shards(self) -> list[str]:
        return expand_shards(self.config.urls)

    @cached_property
    def _names(self) -> dict[str, str]:
        return shard_names(self._shards)

    @cached_property
    def _given(self) -> tuple[str, ...]:
        return tuple(map(class_name, self.config.class_names))

    @cached_property
    def _is_local(self) -> bool:
        return all(map(local_path, self._shards))

    @cached_property
    def _where(self) -> str:
        urls = self.config.urls
        return urls if isinstance(urls, str) else f"{len(self._shards)} tars"

    def _reader(self, choice: ImageChoice, read_images: bool) -> TarReader:
        label = [name for name in self._label_from if name and not name.startswith(_JSON)]
        side = ["json"] * any(name.startswith(_JSON) for name in self._label_from)
        side += [self.config.caption] if self.config.caption else []
        image = [name.strip().lower() for name in self.config.image.split(";")]
        every_image = self.config.image == _IMAGES
        return TarReader(image, label, side, choice, read_images, every_image)

    def _key(self, sample: TarSample) -> str:
        # With the shard's name, because shards may use the same keys again.
        return key_of(f"{self._names[sample.url]}/{sample.key}")

    @cached_property
    def _first_pass(self) -> _FirstPass:
        """What the samples of local shards are labelled.

        Names must be known to be numbered in a fixed order, and what is found is logged first.
        """
        choice = ImageChoice(self._where)
        reader = self._reader(choice, read_images=False)
        texts: dict[str, str] = {}
        places: dict[str, str] = {}
        files: dict[str, str] = {}
        faults: dict[str, str] = {}
        for shard in self._shards:
            for sample in reader.samples(shard):
                key = self._key(sample)
                files[key] = sample.name
                try:
                    text = self._label_text(sample)
                except DataError as err:
                    faults[key] = str(err)
                    continue
                if text is not None:
                    texts[key] = text
                    places.setdefault(text, sample.where)
        choice.leave_out_arrays()
        if not files:
            raise choice.nothing("urls", self._where)
        choice.log({_top(name) for name in files.values()})
        if texts or faults:
            labels = self._numbered(texts, places) if texts else FileLabels()
        else:
            labels = self._from_folders(files, reader)
        return _FirstPass(len(files), labels, faults)

    def _numbered(self, texts: Mapping[str, str], places: Mapping[str, str]) -> FileLabels:
        if not self._given:
            _refuse_mixed(places)
        names = self._given or occurring_classes(places, len(texts))
        index = {text: self._index(text, names, where) for text, where in places.items()}
        of = {key: index[text] for key, text in texts.items()}
        say_classes(names, of, f"labels in {self._where}")
        return FileLabels(names, of)

    def _from_folders(self, files: Mapping[str, str], reader: TarReader) -> FileLabels:
        """By the rules for folders, as if the tars were unpacked into one."""
        listed = None
        if reader.label_file is not None:
            name, content = reader.label_file
            folder = PurePosixPath(name).parent
            listed = read_label_file([folder], lambda _: content, self._where)
        names = sorted(set(files.values()), key=natural_order)
        found = file_labels(names, self.config.labels, self._where, listed, shared_top(names))
        return FileLabels(found.names, {key: found.of[n] for key, n in files.items() if found.of})

    def class_names(self) -> Sequence[str]:
        """The names given, else those that occur; of remote shards the numbers read so far."""
        if self._is_local:
            return self._first_pass.labels.names
        return self._given or self._numbers

    def num_samples(self) -> int | None:
        """Samples in local shards; None for others."""
        return self._first_pass.num_samples if self._is_local else None

    def samples(self, stream: str = "main") -> Iterator[Sample]:
        """Fields image and, where there, label and caption."""
        first = self._first_pass if self._is_local else None
        choice, tops, count = ImageChoice(self._where), set[str](), 0
        reader = self._reader(choice, read_images=True)
        for shard in self._shards:
            for sample in reader.samples(shard):
                tops.add(_top(sample.name))
                count += 1
                yield self._sample(sample, first)
        if first is None:
            choice.leave_out_arrays()
            if not count:
                raise choice.nothing("urls", self._where)
            choice.log(tops)

    def _sample(self, sample: TarSample, first: _FirstPass | None) -> Sample:
        """The sample, with its label and caption."""
        key, caption = self._key(sample), self.config.caption
        fields: dict[str, Any] = {"image": sample.image}
        if first is not None and key in first.faults:
            return Sample(key, {}, fault=first.faults[key])
        try:
            text = None if first is not None else self._label_text(sample)
            if caption is not None and caption in sample.side:
                fields["caption"] = self._decoded(sample, caption, "caption")
        except DataError as err:
            return Sample(key, {}, fault=str(err))
        label = first.labels.of.get(key) if first else self._read_label(sample, text)
        if label is not None:
            fields["label"] = label
        return Sample(key, fields, {"image": sample.extension})

    def _read_label(self, sample: TarSample, text: str | None) -> int | None:
        """The label of a sample that is read once, so that names must be given."""
        if text is None:
            return None
        index = self._index(text, self._given, sample.where)
        self._num_labels += 1
        if index >= len(self._numbers):
            known = count_classes(index, self._num_labels, sample.where)
            self._numbers += [str(n) for n in range(len(self._numbers), known)]
        return index

    def _label_text(self, sample: TarSample) -> str | None:
        for name in self._label_from:
            if name.startswith(_JSON):
                value = self._json_value(sample, name.removeprefix(_JSON))
                if value is not None:
                    return value
            elif name in sample.side:
                return self._decoded(sample, name, "label").strip()
        return None

    def _json_value(self, sample: TarSample, key: str) -> str | None:
        if "json" not in sample.side:
            return None
        try:
            loaded = json.loads(sample.side["json"])
            value = loaded.get(key) if isinstance(loaded, dict) else None
            if not isinstance(value, int | str | None):
                raise ValueError(f"'{key}' is {json.dumps(value)[:40]}")
        except (ValueError, RecursionError) as err:
            raise self._no_value(sample, "json", "label", err) from err
        return None if value is None or value == "" else str(value)

    def _decoded(self, sample: TarSample, extension: str, field: str) -> str:
        try:
            return sample.side[extension].decode("utf-8-sig")
        except UnicodeDecodeError as err:
            raise self._no_value(sample, extension, field, err) from err

    def _no_value(self, sample: TarSample, extension: str, field: str, err: Exception) -> DataError:
        return DataError(
            f"{sample.where}: '{extension}' is not a {field} ({err}). Set `{field}` in data.source "
            f"to another extension, or to null."
        )

    def _index(self, text: str, names: Sequence[str], where: str) -> int:
        text = class_name(text)
        if text in names:
            return names.index(text)
        if text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS:
            return int(text)
        advice = suggest(text, names) if names else "Name all classes: class_names."
        raise DataError(
            f"{where} has the label '{text[:24]}', which class_names lacks. {advice} Without "
            f"labels: label: null."
        )


def _refuse_mixed(places: Mapping[str, str]) -> None:
    """Refuse numbers beside names: one of them is likely damaged, and would shift all others."""
    named = [text for text in places if not text.isdecimal()]
    if named and len(named) < len(places):
        number = next(text for text in places if text.isdecimal())
        raise DataError(
            f"{places[named[0]]} has the label '{named[0][:24]}', but {places[number]} has the "
            f"number {number[:24]}. Correct it, or name all classes: class_names."
        )


def _top(name: str) -> str:
    return name.partition("/")[0] if "/" in name else ""
