"""CSV and JSON-lines manifests: an image and its annotations in each row."""

import contextlib
import json
import logging
import os
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ganforge.config.models import StrictModel
from ganforge.data.sources.class_names import class_name, occurring_classes
from ganforge.data.sources.file_labels import say_classes
from ganforge.data.sources.image_files import ARRAYS, EXTENSIONS, key_of
from ganforge.data.sources.paths import UserPath, local_file
from ganforge.data.sources.tables import Row, read_table
from ganforge.errors import DataError, suggest
from ganforge.imaging.codec import Undecodable, read_image_file, read_npy
from ganforge.interfaces.source import Sample, Source

logger = logging.getLogger(__name__)

_FILE_FIELDS = ("image", "source", "target", "frames")
_OTHER_FIELDS = ("label", "caption", "text", "attributes")
_OTHER_NAMES = {"image": ("file_name",)}
"""Names of columns in the metadata.csv of Hugging Face."""
_MISSING = ("", "nan")
"""Texts that stand for no label: pandas writes the second one."""


class ManifestConfig(StrictModel):
    """Options of the `manifest` source."""

    path: UserPath = Field(description="Manifest: .csv or .tsv (with a header), .jsonl or .ndjson.")
    root: UserPath | None = Field(None, description="Image folder. Default: the manifest's folder.")
    columns: dict[str, str] = Field(
        default_factory=dict,
        description="Column of each field where they differ, e.g. {image: file_name}. Fields: "
        "image, source, target, frames (a list of files), label, caption, text (a .npy file), "
        "attributes; and any other name, e.g. {instances: file, boxes: bbox}, whose column holds "
        "file names or numbers.",
    )
    attributes: tuple[str, ...] = Field(
        (), description="Numeric columns that together are the attributes, e.g. [Smiling, Male]."
    )
    class_names: tuple[str, ...] = Field(
        (), description="In label order. Default: the labels that occur, sorted."
    )


class ManifestSource(Source[ManifestConfig]):
    """Rows of a CSV or JSON-lines file: images with label, caption, attributes, embedding."""

    name, Config = "manifest", ManifestConfig

    @cached_property
    def _rows(self) -> list[Row]:
        return read_table(Path(self.config.path))

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of all columns of the table."""
        return tuple(map(str, self._rows[0]))

    def _column(self, field: str) -> str | None:
        """The column of a field, or None when the manifest does not have it."""
        given = self.config.columns.get(field)
        if given is not None and given not in self._rows[0]:
            raise DataError(
                f"columns names the column '{given}' for '{field}', but {self.config.path} has no "
                f"such column. {suggest(given, map(str, self._rows[0]))}"
            )
        if given is None and field in self.config.columns.values():
            return None  # the column holds another field
        if given or field in self._rows[0]:
            return given or field
        alike = (field, *_OTHER_NAMES.get(field, ()))
        return next((c for c in self._rows[0] if str(c).strip().casefold() in alike), None)

    @cached_property
    def _classes(self) -> tuple[str, ...]:
        column = self._column("label")
        if column is None:
            return ()
        if self.config.class_names:
            return self.config.class_names
        texts: dict[int, str] = {}
        for line, row in enumerate(self._rows, 1):
            with contextlib.suppress(DataError):  # which is the fault of that sample
                texts[line] = self._label_text(row[column], line)
        if not texts:
            return ()
        places = {text: f"Row {line} of {self.config.path}" for line, text in texts.items()}
        names = occurring_classes(places, len(self._rows))
        number = {name: label for label, name in enumerate(names)}
        of = {str(line): number.get(text, -1) for line, text in texts.items()}
        origin = f"column '{column}' of {self.config.path}"
        say_classes(names, of, origin, "set data.use_labels: false")
        return names

    def _label_text(self, value: Any, line: int) -> str:
        text = str(value).strip() if isinstance(value, str | int | float) else ""
        if text and text.casefold() not in _MISSING:
            return class_name(text)
        raise DataError(
            f"Row {line} of {self.config.path} has no label ({json.dumps(value)}). Give it one, a "
            f"number or a name"
        )

    def class_names(self) -> Sequence[str]:
        """The names given, else those that occur."""
        return self._classes

    @cached_property
    def _attributes(self) -> tuple[str, ...]:
        if self.config.attributes:
            lacking = [name for name in self.config.attributes if name not in self._rows[0]]
            if lacking:
                raise DataError(
                    f"attributes names the column '{lacking[0]}', which {self.config.path} lacks. "
                    f"{suggest(lacking[0], map(str, self._rows[0]))}"
                )
            return self.config.attributes
        column = self._column("attributes")
        if column is None:
            return ()
        values = self._read("attributes", _several, self._rows[0][column], 1)
        return tuple(map(str, values if isinstance(values, Mapping) else range(len(values))))

    def attribute_names(self) -> Sequence[str]:
        """The columns given, or the names in the first row."""
        return self._attributes

    def samples(self, stream: str = "main") -> Iterator[Sample]:
        """The fields that the manifest has columns for."""
        columns = self._columns_of_fields()
        root = Path(self.config.root or Path(self.config.path).parent)
        image = next(columns[field] for field in _FILE_FIELDS if field in columns)
        keys: set[str] = set()
        for lines in self._groups:
            name = self._rows[lines[0] - 1][image]
            key = key_of(str(name[0] if isinstance(name, list) and name else name))
            # No file name has a key with `%` before another letter than A to F.
            key = f"{key}%row{lines[0]}" if key in keys else key
            keys.add(key)
            try:
                yield Sample(key, self._fields(columns, lines, root))
            except DataError as err:
                yield Sample(key, {}, fault=str(err))

    def _columns_of_fields(self) -> dict[str, str]:
        """The column of each field that the manifest has."""
        columns = {
            field: column
            for field in dict.fromkeys((*_FILE_FIELDS, *_OTHER_FIELDS, *self.config.columns))
            if (column := self._column(field)) is not None
        }
        if not set(columns) & set(_FILE_FIELDS):
            has_header = not any(map(_names_image, self._rows[0]))
            advice = "Name it: columns: {image: COLUMN}" if has_header else "Add a header line"
            raise DataError(
                f"Manifest {self.config.path} has no column 'image' (or source and target); it has "
                f"{', '.join(map(str, self._rows[0]))}. {advice}."
            )
        unused = [str(c) for c in self._rows[0] if c not in (*columns.values(), *self._attributes)]
        if unused:
            logger.info(
                "Columns of %s that are not used: %s. Name a column to use it: columns: {label: "
                "COLUMN}.",
                self.config.path,
                ", ".join(unused),
            )
        if self.config.attributes:
            columns["attributes"] = ""
        return columns

    def _fields(self, columns: Mapping[str, str], lines: list[int], root: Path) -> dict[str, Any]:
        """The values of the rows of one sample."""
        line, row = lines[0], self._rows[lines[0] - 1]
        fields = {name: self._value(name, row, columns[name], root, line) for name in columns}
        if len(lines) > 1:
            cells = ((n, self._rows[n - 1][columns["caption"]]) for n in lines)
            fields["caption"] = [self._read("caption", _captions, cell, n) for n, cell in cells]
        return fields

    @cached_property
    def _groups(self) -> list[list[int]]:
        """Numbers of the rows of each sample: rows that differ only in one caption are one."""
        caption = self._column("caption")
        groups: dict[str, list[int]] = {}
        for line, row in enumerate(self._rows, 1):
            others = [value for column, value in row.items() if column != caption]
            one = caption is not None and isinstance(row[caption], str)
            groups.setdefault(json.dumps(others) if one else str(line), []).append(line)
        return list(groups.values())

    def _value(self, field: str, row: Row, column: str, root: Path, line: int) -> Any:
        value = row[column] if column else {name: row[name] for name in self._attributes}
        if field == "label":
            return self._label(self._label_text(value, line), line)
        parse = {
            "caption": _captions,
            "text": lambda name: _embedding(root / _text(name)),
            "attributes": self._numbers,
            "frames": lambda names: _files(root, _several(names)),
            **dict.fromkeys(("image", "source", "target"), lambda name: _files(root, name)),
        }.get(field, lambda cell: _files_or_numbers(root, cell))
        return self._read(field, parse, value, line)

    def _read(self, field: str, parse: Callable[[Any], Any], value: Any, line: int) -> Any:
        try:
            return parse(value)
        except (ValueError, TypeError, KeyError, ArithmeticError, RecursionError) as err:
            raise DataError(
                f"Row {line} of {self.config.path}: '{field}' cannot be read ({err!r})"
            ) from err
        except Undecodable as err:
            raise DataError(f"Row {line} of {self.config.path}: '{field}' {err}") from err

    def _numbers(self, value: Any) -> list[float]:
        values = _several(value)
        if isinstance(values, Mapping):
            values = [values[name] for name in self._attributes]
        return [float(v) for v in values]

    def _label(self, value: str, line: int) -> int:
        if value in self._classes:
            return self._classes.index(value)
        if value.isdecimal():
            return int(value)
        raise DataError(
            f"Row {line} of {self.config.path} has the label '{value}', which class_names lacks. "
            f"{suggest(value, self._classes)}"
        )

    def num_samples(self) -> int:
        """Rows of the manifest, those of one image with several captions as one."""
        return len(self._groups)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{json.dumps(value)} is not text")
    return value


def _embedding(path: Path) -> NDArray[np.float32]:
    """The numbers of an .npy file."""
    return np.asarray(read_npy(read_image_file(path)), dtype=np.float32)


def _files(root: Path, value: Any) -> Path | list[Path]:
    """A file, or the files of a clip."""
    if isinstance(value, list):
        return [_file(root, _text(name)) for name in value]
    return _file(root, _text(value))


def _file(root: Path, name: str) -> Path:
    r"""The file of a cell, also where the table has spaces around it, `\`, or other Unicode.

    Raises:
        Undecodable: there is no name, or it is an address.
    """
    try:
        path = root / (local_file(name) if "://" in name or not name.strip() else name)
    except ValueError as err:
        raise Undecodable(str(err)) from err
    if os.path.lexists(path) or "\0" in name:
        return path
    forms = (unicodedata.normalize(form, name.strip()) for form in ("NFC", "NFD"))
    others = [root / form for name in forms for form in (name, name.replace("\\", "/"))]
    return next((other for other in others if os.path.lexists(other)), path)


def _names_image(text: object) -> bool:
    return Path(str(text)).suffix.lower() in EXTENSIONS


def _files_or_numbers(root: Path, value: Any) -> Any:
    """What a cell of a field with a free name holds: a file, files, a number or numbers."""
    is_file = isinstance(value, str) and Path(value.strip()).suffix.lower() in (*EXTENSIONS, ARRAYS)
    if is_file or (isinstance(value, list) and value and isinstance(value[0], str)):
        return _files(root, value)
    if isinstance(value, int | float):
        return value
    numbers = _several(value)
    if isinstance(numbers, Mapping):
        raise TypeError(f"{json.dumps(numbers)} is not a list of numbers")
    return np.asarray(numbers, dtype=np.float64).tolist()


def _captions(value: Any) -> str | list[str]:
    return list(map(_text, value)) if isinstance(value, list) else _text(value)


def _several(value: Any) -> Sequence[Any] | Mapping[str, Any]:
    """Values of a cell: in JSON as they are; in CSV as JSON, or between spaces, commas, `;`."""
    if isinstance(value, str):
        text = value.strip()
        value = json.loads(text) if text[:1] in ("[", "{") else re.split(r"[\s,;]+", text)
    if not isinstance(value, list | Mapping) or not value:
        raise TypeError(f"{json.dumps(value)} is not a list of numbers")
    return value
