"""Images in a zip archive, without unpacking it."""

import json
import os
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import Field

from ganforge.config.models import StrictModel
from ganforge.data.sources.class_names import folder_classes, natural_order, numbered_classes
from ganforge.data.sources.image_files import check_inside, is_image, key_of
from ganforge.errors import DataError
from ganforge.interfaces.source import Sample, Source

MAX_FILE_BYTES = 2**29
"""Larger files in an archive are refused before they are unpacked."""
_LABEL_FILE = "dataset.json"


class ZipConfig(StrictModel):
    """Options of the `zip` source."""

    path: str = Field(description="Zip archive of images, folders included.")
    labels: bool | None = Field(
        None,
        description="Folders are classes, or dataset.json has the labels as the StyleGAN tools "
        "write it. Default: when either is there.",
    )


class ZipSource(Source[ZipConfig]):
    """Images in a zip archive; folders, or the labels in dataset.json, become class labels."""

    name, Config = "zip", ZipConfig

    def _open(self) -> zipfile.ZipFile:
        try:
            return zipfile.ZipFile(self.config.path)
        except (OSError, zipfile.BadZipFile) as err:
            raise DataError(
                f"path={self.config.path!r} is not a readable zip archive ({err}). Correct the "
                f"path, or fetch it again."
            ) from err

    @cached_property
    def _files(self) -> list[str]:
        with self._open() as archive:
            names = [name for name in archive.namelist() if is_image(PurePosixPath(name))]
        if not names:
            raise DataError(f"path={self.config.path!r} holds no images. Correct the path.")
        for name in names:
            check_inside(name, self.config.path)
        return sorted(names, key=natural_order)

    @cached_property
    def _shared(self) -> PurePosixPath:
        """The deepest folder that holds all images."""
        folders = {PurePosixPath(name).parent for name in self._files}
        return PurePosixPath(os.path.commonpath(folders))

    @cached_property
    def _within(self) -> dict[str, str]:
        """Names of the images below the folder that `zip -r FOLDER` puts around everything."""
        is_class = any(PurePosixPath(name).parent == self._shared for name in self._files)
        top = self._shared.parent if is_class else self._shared
        return {name: str(PurePosixPath(name).relative_to(top)) for name in self._files}

    @cached_property
    def _listed(self) -> dict[str, int]:
        """Labels of dataset.json by file name in the archive; empty when it has none."""
        with self._open() as archive:
            folders = (self._shared, *self._shared.parents)
            found = [f for f in folders if str(f / _LABEL_FILE) in archive.NameToInfo]
            if not found or self.config.labels is False:
                return {}
            try:
                pairs = json.loads(archive.read(str(found[0] / _LABEL_FILE))).get("labels") or []
                return {str(found[0] / name): int(label) for name, label in pairs}
            except (ValueError, TypeError, AttributeError) as err:
                raise DataError(
                    f"{_LABEL_FILE} in {self.config.path!r} is not a mapping with 'labels': "
                    f"[[file, number], ...] ({err}). Correct it, or set labels: false "
                    f"(source.labels=false)."
                ) from err

    @cached_property
    def _classes(self) -> tuple[str, ...]:
        if self._listed:
            values = self._listed.values()
            where = f"{_LABEL_FILE} in {self.config.path!r}"
            return numbered_classes(max(values), len(values), where)
        return folder_classes([*self._within.values()], self.config.labels, self.config.path)

    def class_names(self) -> Sequence[str]:
        """Names of the folders, or the numbers of dataset.json."""
        return self._classes

    def samples(self, stream: str = "main") -> Iterator[Sample]:
        """Fields image and, with classes, label."""
        number = {name: label for label, name in enumerate(self._classes)}
        with self._open() as archive:
            for name in self._files:
                fields: dict[str, Any] = {"image": self._read(archive, name)}
                if self._listed:
                    fields["label"] = self._label(name)
                elif number:
                    fields["label"] = number[Path(self._within[name]).parts[0]]
                yield Sample(key_of(name), fields, {"image": Path(name).suffix[1:].lower()})

    def _read(self, archive: zipfile.ZipFile, name: str) -> bytes:
        size = archive.getinfo(name).file_size
        if size > MAX_FILE_BYTES:
            raise DataError(
                f"'{name}' in {self.config.path!r} unpacks to {size} bytes, more than the limit of "
                f"{MAX_FILE_BYTES}; it may be a decompression bomb. Remove it from the archive."
            )
        try:
            return archive.read(name)
        except (zipfile.BadZipFile, zlib.error, OSError, RuntimeError) as err:
            raise DataError(
                f"'{name}' in {self.config.path!r} cannot be unpacked ({err}). Fetch the archive "
                f"again."
            ) from err

    def _label(self, name: str) -> int:
        try:
            return self._listed[name]
        except KeyError:
            raise DataError(
                f"{_LABEL_FILE} in {self.config.path!r} has no label for '{name}'. Add it, or set "
                f"labels: false."
            ) from None

    def num_samples(self) -> int:
        """Images in the archive."""
        return len(self._files)
