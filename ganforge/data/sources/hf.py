"""Data sets that Hugging Face `datasets` can load: from the Hub, imagefolder, parquet."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import Field

from ganforge.components import Sample, Source
from ganforge.config import StrictModel
from ganforge.data.sources.classes import numbered_classes
from ganforge.errors import DataError, suggest


class HfConfig(StrictModel):
    """Options of the `hf` source."""

    path: str = Field(description="Hub id (org/name), a folder, or a loader: imagefolder, parquet.")
    name: str | None = Field(None, description="Configuration of the data set.")
    split: str = "train"
    revision: str | None = Field(None, description="Commit, tag or branch on the Hub.")
    data_dir: str | None = Field(None, description="Folder, for imagefolder.")
    data_files: str | tuple[str, ...] | None = Field(None, description="Files, for parquet.")
    image: str | None = Field(None, description="Column. Default: the first with images.")
    label: str | None = Field(None, description="Column. Default: the first with class labels.")
    caption: str | None = Field(None, description="Column of captions. Default: none.")
    streaming: bool = Field(False, description="Read from the Hub while preparing.")


class HfSource(Source[HfConfig]):
    """A data set loaded by Hugging Face `datasets`; image bytes are kept as they are."""

    name = "hf"
    Config = HfConfig

    @cached_property
    def _data(self) -> Any:
        import datasets  # costs 600 MB; only this source needs it

        config = self.config
        files = config.data_files
        try:
            data = datasets.load_dataset(
                config.path,
                config.name,
                split=config.split,
                revision=config.revision,
                data_dir=config.data_dir,
                data_files=list(files) if isinstance(files, tuple) else files,
                streaming=config.streaming,
            )
            # FileNotFoundError and the Hub's errors are OSErrors.
        except (OSError, ValueError, datasets.exceptions.DatasetsError) as err:
            is_absent = "/" in config.path and not Path(config.path).exists()
            raise DataError(
                f"{f'There is no folder {config.path} here. ' if is_absent else ''}"
                f"Data set path={config.path!r} (split {config.split!r}) cannot be loaded: {err}. "
                f"Check path, name, split and the connection."
            ) from err
        if data.features is None:
            raise DataError(
                f"Data set {config.path!r} has no declared columns. Set streaming: false."
            )
        return data.cast_column(self._image_column(data), datasets.Image(decode=False))

    def _image_column(self, data: Any) -> str:
        return self._column(data, "image", self.config.image, "Image")

    def _column(self, data: Any, field: str, given: str | None, kind: str) -> str:
        """The column of a field: as given, else the first of its kind, else empty for labels."""
        if given is not None:
            if given not in data.features:
                raise DataError(
                    f"{field}={given!r} is not a column of {self.config.path!r}. "
                    f"{suggest(given, data.features)}"
                )
            return given
        found = next((n for n, f in data.features.items() if type(f).__name__ == kind), "")
        if not found and field == "image":
            raise DataError(
                f"Data set {self.config.path!r} has no column of images; it has "
                f"{', '.join(data.features)}. Name one: image: COLUMN."
            )
        return found

    @cached_property
    def _label_column(self) -> str:
        return self._column(self._data, "label", self.config.label, "ClassLabel")

    @cached_property
    def _classes(self) -> tuple[str, ...]:
        if not self._label_column:
            return ()
        names = getattr(self._data.features[self._label_column], "names", None)
        if names:
            return tuple(names)
        if self.config.streaming:
            raise DataError(
                f"Column '{self._label_column}' of {self.config.path!r} has no class names, and "
                f"streaming cannot count them. Set streaming: false."
            )
        values = self._data[self._label_column]
        where = f"Column '{self._label_column}' of {self.config.path!r}"
        return numbered_classes(max(values), len(values), where)

    def class_names(self) -> Sequence[str]:
        """Names of the class-label column; the numbers when it has none."""
        return self._classes

    def samples(self, stream: str = "main") -> Iterator[Sample]:
        """Fields image and, where there, label and caption."""
        image = self._image_column(self._data)
        caption = self.config.caption
        if caption is not None:
            self._column(self._data, "caption", caption, "Value")
        for number, row in enumerate(self._data):
            value = row[image]
            fields: dict[str, Any] = {"image": value["bytes"] or Path(value["path"])}
            if self._label_column:
                fields["label"] = row[self._label_column]
            if caption is not None:
                fields["caption"] = row[caption]
            yield Sample(f"{number:08d}", fields)

    def __len__(self) -> int:
        return 0 if self.config.streaming else len(self._data)
