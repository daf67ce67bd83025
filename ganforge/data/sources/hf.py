"""Data sets that Hugging Face `datasets` can load: from the Hub, imagefolder, parquet."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import Field

from ganforge.config.models import StrictModel
from ganforge.data.sources.class_names import class_name, occurring_classes
from ganforge.data.sources.file_labels import say_classes
from ganforge.data.sources.paths import UserPath
from ganforge.errors import DataError, suggest
from ganforge.interfaces.source import Sample, Source
from ganforge.io.network import network_faults

logger = logging.getLogger(__name__)
_PAIR = ("source", "target")


class HfConfig(StrictModel):
    """Options of the `hf` source."""

    path: UserPath = Field(
        description="Hub id (org/name), a folder, also one of save_to_disk, or a loader: "
        "imagefolder, parquet."
    )
    subset: str | None = Field(None, description="Subset (configuration) of the data set.")
    split: str = "train"
    revision: str | None = Field(None, description="Commit, tag or branch on the Hub.")
    data_dir: UserPath | None = Field(None, description="Folder, for imagefolder.")
    data_files: str | tuple[str, ...] | None = Field(None, description="Files, for parquet.")
    image: str | None = Field(None, description="Column. Default: the first with images.")
    label: str | None = Field(
        None,
        description="Column of class indices or names; '' for none. Default: the first with class "
        "labels, else 'label'.",
    )
    caption: str | None = Field(None, description="Column of captions. Default: none.")
    columns: dict[str, str] = Field(
        default_factory=dict,
        description="Columns of further fields, of images or numbers, e.g. {source: input_image, "
        "target: edited_image}. With a source or a target, there is no image unless it is named.",
    )
    streaming: bool = Field(False, description="Read from the Hub while preparing.")


class HfSource(Source[HfConfig]):
    """A data set loaded by Hugging Face `datasets`; image bytes are kept as they are."""

    name, Config = "hf", HfConfig

    @cached_property
    def _data(self) -> Any:
        import datasets  # costs 600 MB; only this source needs it

        config = self.config
        try:
            data = self._saved() if is_saved_to_disk(Path(config.path)) else self._loaded()
        except DataError:
            raise
        except Exception as err:  # `datasets`, pyarrow and the Hub's client raise almost any type
            is_absent = "/" in config.path and not Path(config.path).exists()
            raise DataError(
                f"{f'There is no folder {config.path} here. ' if is_absent else ''}"
                f"Data set path={config.path!r} (split {config.split!r}) cannot be loaded: "
                f"{_cause(err, 'Check path, subset, split and the connection.')}"
            ) from err
        if data.features is None:
            fault = f"Data set {config.path!r} has no declared columns"
            raise DataError(f"{fault}. Set streaming: false.")
        for column in self._image_columns(data).values():
            data = data.cast_column(column, datasets.Image(decode=False))
        return data

    def _loaded(self) -> Any:
        import datasets

        config = self.config
        files = config.data_files
        return datasets.load_dataset(
            config.path,
            config.subset,
            split=config.split,
            revision=config.revision,
            data_dir=config.data_dir,
            data_files=list(files) if isinstance(files, tuple) else files,
            streaming=config.streaming,
        )

    def _saved(self) -> Any:
        import datasets

        found = datasets.load_from_disk(self.config.path)
        if not isinstance(found, datasets.DatasetDict):
            return found
        if self.config.split not in found:
            raise ValueError(f"its splits are {', '.join(found)}")
        return found[self.config.split]

    def _image_columns(self, data: Any) -> dict[str, str]:
        """The columns of images, by field."""
        given = dict(self.config.columns)
        columns = {
            field: column
            for field, column in given.items()
            if field in _PAIR or _is_image(self._given(field, column, data))
        }
        if self.config.image is not None:
            columns = {"image": self.config.image, **columns}
        elif not set(given) & {"image", *_PAIR}:
            columns = {"image": self._first_image(data), **columns}
        for field, column in columns.items():
            feature = self._given(field, column, data)
            if not _may_hold_images(feature):
                raise DataError(
                    f"Column '{column}' of {self.config.path!r} holds {feature}, not images. Name "
                    f"another one: {field}: COLUMN."
                )
        return columns

    def _first_image(self, data: Any) -> str:
        features = data.features.items()
        # Tables that other programs wrote do not declare that they hold images.
        stored = next((name for name, feature in features if _is_image(feature)), "")
        binary = next((n for n, f in features if n == "image" and _holds_bytes(f)), "")
        found = _first_of_kind(data, "Image") or stored or binary
        if not found:
            raise DataError(
                f"Data set {self.config.path!r} has no column of images; it has "
                f"{', '.join(data.features)}. Name one: image: COLUMN."
            )
        return found

    def _given(self, field: str, column: str, data: Any) -> Any:
        """The feature of a column that the options name."""
        if column not in data.features:
            raise DataError(
                f"{field}={column!r} is not a column of {self.config.path!r}. "
                f"{suggest(column, data.features)}"
            )
        return data.features[column]

    @cached_property
    def _label_column(self) -> str:
        """The column of labels; empty when there are none."""
        if self.config.label is not None:
            if self.config.label:
                self._given("label", self.config.label, self._data)
            return self.config.label
        found = _first_of_kind(self._data, "ClassLabel")
        alike = next((c for c in self._data.features if c.strip().casefold() == "label"), "")
        if found or not alike:
            return found
        if self.config.streaming:
            logger.warning(
                "The column '%s' of %s has no class names, and streaming cannot count them, so "
                "there are no labels. Set streaming: false to have them.",
                alike,
                self.config.path,
            )
            return ""
        return alike

    @cached_property
    def _classes(self) -> tuple[str, ...]:
        column = self._label_column
        if not column:
            return ()
        names = getattr(self._data.features[column], "names", None)
        if names:
            return tuple(names)
        where = f"Column '{column}' of {self.config.path!r}"
        if self.config.streaming:
            raise DataError(
                f"{where} has no class names, and streaming cannot count them. Set streaming: "
                f"false."
            )
        try:
            values = self._data.unique(column)
        except Exception as err:  # pyarrow cannot compare lists, for example
            raise DataError(
                f"{where} holds {self._data.features[column]}, which cannot be class labels "
                f"({err}). Name another column: label: COLUMN, or label: '' for none."
            ) from err
        strange = next((v for v in values if not isinstance(v, str | int | None)), None)
        if strange is not None:
            raise DataError(
                f"{where} holds {strange!r}, which is neither a class index nor a name. Name "
                f"another column: label: COLUMN, or label: '' for none."
            )
        places = {str(v): where for v in values if v is not None and str(v).strip()}
        return occurring_classes(places, len(self._data)) if places else ()

    def class_names(self) -> Sequence[str]:
        """Names of the class-label column; of other columns the texts or numbers that occur."""
        return self._classes

    def samples(self, stream: str = "main") -> Iterator[Sample]:
        """The images, the further columns and, where there, label and caption."""
        if self._classes:
            origin = f"column '{self._label_column}' of {self.config.path}"
            say_classes(self._classes, {}, origin, "set label: '' (source.label='')")
        images = self._image_columns(self._data)
        others = {f: c for f, c in self.config.columns.items() if f not in images}
        if self.config.caption is not None:
            self._given("caption", self.config.caption, self._data)
            others["caption"] = self.config.caption
        self._say_columns({**images, **others})
        numbers = {name: number for number, name in enumerate(self._classes)}
        for number, row in enumerate(self._rows()):
            address = next(filter(None, (_address_of(row[c]) for c in images.values())), None)
            if address is not None:
                fault = f"its image is the address {address}, which is not downloaded"
                yield Sample(f"{number:08d}", {}, fault=f"{fault}; download the images first")
                continue
            fields: dict[str, Any] = {f: _image_of(row[column]) for f, column in images.items()}
            fields |= {field: row[column] for field, column in others.items()}
            try:
                if self._label_column:
                    fields["label"] = self._label(row[self._label_column], numbers, number)
            except DataError as err:
                yield Sample(f"{number:08d}", {}, fault=str(err).rstrip("."))
                continue
            yield Sample(f"{number:08d}", fields)

    def _rows(self) -> Iterator[Mapping[str, Any]]:
        try:
            yield from self._data
        except Exception as err:  # reading goes on over the network, and in pyarrow
            raise DataError(
                f"The rows of {self.config.path!r} cannot be read: "
                f"{_cause(err, 'Check the connection and the files, and try again.')}"
            ) from err

    def _say_columns(self, fields: Mapping[str, str]) -> None:
        """Log which columns are used, and which are not."""
        used = {**fields, **({"label": self._label_column} if self._label_column else {})}
        unused = [column for column in self._data.features if column not in used.values()]
        logger.info(
            "Columns of %s: %s.%s",
            self.config.path,
            ", ".join(f"{field} from '{column}'" for field, column in used.items()),
            f" Not used: {', '.join(unused)}." if unused else "",
        )

    def _label(self, value: Any, numbers: Mapping[str, int], row: int) -> int:
        if isinstance(value, str | bool) and class_name(str(value)) in numbers:
            return numbers[class_name(str(value))]
        if isinstance(value, int | str) and str(value).isdecimal():
            return int(value)
        raise DataError(
            f"Row {row} of {self.config.path!r} has no label ('{self._label_column}' is {value!r}; "
            f"rows count from 0). Choose a split or a column where every row has one, or set "
            f"label: '' for none."
        )

    def num_samples(self) -> int | None:
        """Rows of the data set; None when streaming."""
        return None if self.config.streaming else len(self._data)


def _cause(err: Exception, advice: str) -> str:
    """The error, and what in the environment stops all connections, which it may not name."""
    text = str(err) or type(err).__name__
    if err.__cause__ is not None and str(err.__cause__) not in text:
        text = f"{text.rstrip('.')}: {err.__cause__}"
    return f"{text.rstrip('.')}. {next(network_faults(), advice)}"


def is_saved_to_disk(path: Path) -> bool:
    """Whether a folder was written by `datasets`' `save_to_disk`."""
    return (path / "dataset_dict.json").is_file() or (
        (path / "dataset_info.json").is_file() and (path / "state.json").is_file()
    )


def _first_of_kind(data: Any, kind: str) -> str:
    """The first column of a kind of feature, or empty."""
    names: Iterator[str] = (n for n, f in data.features.items() if type(f).__name__ == kind)
    return next(names, "")


def _is_image(feature: Any) -> bool:
    """Whether a column holds images, as such or as what an image is stored as."""
    stored = isinstance(feature, dict) and set(feature) == {"bytes", "path"}
    return stored or type(feature).__name__ == "Image"


def _may_hold_images(feature: Any) -> bool:
    """Whether a column can be read as images: it is one of them, of bytes, or of file names."""
    is_text = getattr(feature, "dtype", None) in ("string", "large_string")
    return _is_image(feature) or is_text or _holds_bytes(feature)


def _holds_bytes(feature: Any) -> bool:
    return getattr(feature, "dtype", None) in ("binary", "large_binary")


def _image_of(value: Mapping[str, Any] | None) -> bytes | Path:
    """The bytes or the file of an image; no bytes, which no decoder takes, when there is none."""
    if value is None:
        return b""
    if value["bytes"] is None and value["path"]:
        return Path(value["path"])
    return value["bytes"] or b""


def _address_of(value: Mapping[str, Any] | None) -> str | None:
    """The address of an image that the data set only names; None for all others."""
    if value is None or value["bytes"] is not None or "://" not in (value["path"] or ""):
        return None
    return str(value["path"])
