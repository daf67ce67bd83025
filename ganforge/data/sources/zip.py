"""Images in a zip archive, without unpacking it."""

import lzma
import os
import stat
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from pathlib import PurePosixPath
from typing import Any

from pydantic import Field

from ganforge.config.models import StrictModel
from ganforge.data.sources import left_out as reasons
from ganforge.data.sources.file_labels import (
    FileLabels,
    Listed,
    file_labels,
    read_label_file,
    shared_top,
)
from ganforge.data.sources.image_files import (
    ImageChoice,
    check_inside,
    key_of,
    looked_in,
)
from ganforge.data.sources.left_out import system_part
from ganforge.data.sources.paths import UserPath
from ganforge.errors import DataError
from ganforge.interfaces.source import Sample, Source
from ganforge.io.signatures import HEAD_BYTES, what_it_is

MAX_FILE_BYTES = 2**29
"""Larger files in an archive are refused before they are unpacked."""
_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, OSError, EOFError),
    *(RuntimeError, ValueError, IndexError, OverflowError, MemoryError),
)
"""What `zipfile` raises for damaged archives."""
_ENCRYPTED = 1
_UNIX = 3
_UTF8 = 0x800
_END_RECORD = struct.Struct("<4s4H2LH")


class ZipConfig(StrictModel):
    """Options of the `zip` source."""

    path: UserPath = Field(description="Zip archive of images, folders included.")
    labels: bool | None = Field(
        None,
        description="Folders are classes, or dataset.json has the labels as the StyleGAN tools "
        "write it. Default: when either is there.",
    )


class ZipSource(Source[ZipConfig]):
    """Images in a zip archive; folders, or the labels in dataset.json, become class labels."""

    name, Config = "zip", ZipConfig

    @cached_property
    def _archive(self) -> zipfile.ZipFile:
        path = self.config.path
        try:
            return zipfile.ZipFile(path)
        except FileNotFoundError as err:
            raise DataError(
                f"path={path!r} does not exist{looked_in(path)}. Correct the path."
            ) from err
        except _DAMAGE as err:
            raise DataError(
                f"path={path!r} is not a readable zip archive ({_no_zip(path) or err}). Correct "
                f"the path, or fetch it again."
            ) from err

    @cached_property
    def _members(self) -> dict[str, zipfile.ZipInfo]:
        """All files of the archive by name; of several with one name the last."""
        found, expected = self._archive.infolist(), _num_entries(self._archive)
        # A Mac counts modulo 65,536, without the extension for larger archives.
        if expected is not None and (len(found) - expected) % 0x10000:
            raise DataError(
                f"{self.config.path!r} lists {expected} files, but only {len(found)} can be found: "
                f"it is damaged. Fetch it again."
            )
        return {_name(info): info for info in found}

    @cached_property
    def _files(self) -> list[str]:
        path = self.config.path
        choice = ImageChoice(path)
        for name, info in self._members.items():
            check_inside(name, path)
            if stat.S_ISLNK(info.external_attr >> 16) and info.create_system == _UNIX:
                choice.left_out.add(reasons.LINKED_MEMBER, name)
                continue
            is_folder = info.is_dir() or name.endswith("/")
            if is_folder and name.count("/") == 1 and not system_part(name):
                choice.left_out.add_folder(name.rstrip("/"))
            if is_folder or choice.add(name, partial(self._head, name)) is None:
                self._head(name)
        for name, count in Counter(map(_name, self._archive.infolist())).items():
            for _ in range(count - 1):
                choice.left_out.add(reasons.TWICE, name)
        files = choice.chosen("path", path)
        locked = next((name for name in files if self._members[name].flag_bits & _ENCRYPTED), None)
        if locked is not None:
            raise DataError(
                f"'{locked}' in {path!r} is encrypted. Unpack the archive with its password, and "
                f"use the folder."
            )
        return files

    def _head(self, name: str) -> bytes:
        """The first bytes of a member. A name that damage changed differs from its second copy."""
        info = self._members[name]
        if info.flag_bits & _ENCRYPTED:
            return b""
        try:
            with self._archive.open(info) as member:
                return member.read(HEAD_BYTES)
        except _DAMAGE as err:
            raise self._damaged(name, err) from err

    @cached_property
    def _listed(self) -> Listed | None:
        if self.config.labels is False:
            return None
        shared = PurePosixPath(os.path.commonpath(map(os.path.dirname, self._files)))
        folders = (shared, *shared.parents)
        return read_label_file(folders, self._read_if_there, repr(self.config.path))

    @cached_property
    def _labels(self) -> FileLabels:
        path, labels = self.config.path, self.config.labels
        return file_labels(self._files, labels, path, self._listed, shared_top(self._files))

    def class_names(self) -> Sequence[str]:
        """Names of the folders, or the numbers of dataset.json."""
        return self._labels.names

    def samples(self, stream: str = "main") -> Iterator[Sample]:
        """Fields image and, with classes, label."""
        labels = self._labels.of
        for name in self._files:
            try:
                fields: dict[str, Any] = {"image": self._read(name)}
            except DataError as err:
                yield Sample(key_of(name), {}, fault=str(err))
                continue
            if labels:
                fields["label"] = labels[name]
            suffix = os.path.splitext(name)[1][1:].lower()
            yield Sample(key_of(name), fields, {"image": suffix})

    def _read_if_there(self, name: str) -> bytes | None:
        return self._read(name) if name in self._members else None

    def _read(self, name: str) -> bytes:
        size = self._members[name].file_size
        if size > MAX_FILE_BYTES:
            raise DataError(
                f"'{name}' in {self.config.path!r} unpacks to {size} bytes, more than the limit of "
                f"{MAX_FILE_BYTES}; it may be a decompression bomb. Remove it from the archive."
            )
        try:
            return self._archive.read(self._members[name])
        except _DAMAGE as err:
            raise self._damaged(name, err) from err

    def _damaged(self, name: str, err: BaseException) -> DataError:
        advice = "Fetch the archive again"
        if isinstance(err, NotImplementedError):
            advice = "Write the archive again with the usual compression (deflate)"
        return DataError(f"'{name}' in {self.config.path!r} cannot be unpacked ({err}). {advice}.")

    def num_samples(self) -> int:
        """Images in the archive."""
        return len(self._files)


def _no_zip(path: str) -> str | None:
    """What a file is instead of a zip archive."""
    try:
        with open(path, "rb") as file:
            what = what_it_is(file.read(HEAD_BYTES))
    except OSError:
        return None
    return f"it is {what}" if what and "zip" not in what.split() else None


def _num_entries(archive: zipfile.ZipFile) -> int | None:
    """How many files the end record counts; None in the format for more than 65,534.

    `zipfile` does not compare it with what it finds, and damage may hide files.
    """
    assert archive.fp is not None
    archive.fp.seek(-_END_RECORD.size - len(archive.comment), os.SEEK_END)
    signature, *_, count, _, _, _ = _END_RECORD.unpack(archive.fp.read(_END_RECORD.size))
    return count if signature == b"PK\5\6" and count != 0xFFFF else None


def _name(info: zipfile.ZipInfo) -> str:
    """The name with slashes, also from Windows; UTF-8 also where a Mac does not say that it is."""
    name = info.filename
    if not info.flag_bits & _UTF8:
        try:
            name = name.encode("cp437").decode("utf-8")
        except UnicodeError:
            pass
    return name.replace("\\", "/").removeprefix("./")
