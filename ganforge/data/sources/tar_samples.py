"""Samples in a tar shard: neighbouring members whose names agree up to the first dot."""

import contextlib
import re
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any

from ganforge.data.shards.locations import open_patiently
from ganforge.data.sources import left_out as reasons
from ganforge.data.sources.file_labels import LABEL_FILE
from ganforge.data.sources.image_files import EXTENSIONS, ImageChoice, check_inside
from ganforge.data.sources.left_out import system_part
from ganforge.data.sources.tar_stream import DAMAGE, members
from ganforge.errors import DataError, GanforgeError, suggest
from ganforge.io.signatures import HEAD_BYTES

MAX_FILE_BYTES = 2**29
"""Larger members are refused before they are read."""
# The extension begins at the first dot; numbers between dots belong to the name (img.1.png).
_NAME = re.compile(r"((?:.*/)?[^./][^./]*(?:\.[0-9]+(?=\.))*)\.([^/]+)")
# What is no extension belongs to the name (Mr. Smith (2).png).
_PARTS = re.compile(r"[\w-]+(\.[\w-]+)*", re.ASCII)
_FIRST_DOT = re.compile(r"((?:.*/)?[^./][^./]*)\.([^/]+)")


@dataclass
class TarSample:
    """One sample of a shard.

    Attributes:
        url: of the shard.
        key: what the names of its members share.
        name: of the image's member; empty while none is found.
        extension: of the image, lower case, without a dot.
        image: empty where images are not read.
        side: other members that are needed, by extension.
        strange: names of images with other extensions.
        more: name, extension and content of the images after the first.
    """

    url: str
    key: str
    name: str = ""
    extension: str = ""
    image: bytes = b""
    side: dict[str, bytes] = field(default_factory=dict)
    strange: list[str] = field(default_factory=list)
    more: list[tuple[str, str, bytes]] = field(default_factory=list)

    @property
    def where(self) -> str:
        """For messages."""
        return f"Sample '{self.key}' of {self.url}"


def local_path(url: str) -> Path | None:
    """The file of a URL on this machine; None for others, which are better read only once."""
    path = Path(url.removeprefix("file://").removeprefix("file:"))
    return path if path.is_file() else None


class _Content:
    """The content of a member, which can be read once, after a look at its first bytes."""

    def __init__(self, url: str, member: tarfile.TarInfo, stream: IO[bytes]) -> None:
        self._url, self._member, self._stream = url, member, stream
        self._head = b""

    def head(self) -> bytes:
        """The first bytes."""
        self._head = self._head or self._stream.read(HEAD_BYTES)
        return self._head

    def read(self) -> bytes:
        """All of it."""
        if self._member.size > MAX_FILE_BYTES:
            raise DataError(
                f"'{self._member.name}' in {self._url} has {self._member.size} bytes, more than "
                f"the limit of {MAX_FILE_BYTES}. Remove it from the archive."
            )
        return self._head + self._stream.read()


@dataclass
class TarReader:
    """Reads the samples of shards.

    Attributes:
        image: extensions of the image, the preferred one first.
        every_image: several images of one name are a sample each, with all that is beside them.
            Otherwise the preferred one is used, and the others are left out.
        label: extensions whose members are labels; without an image they are an error.
        side: extensions of all other members to read.
        choice: counts what is left out.
        read_images: whether images are needed, or only what is beside them.
        label_file: name and content of the first `dataset.json` that is met.
    """

    image: Sequence[str]
    label: Sequence[str]
    side: Sequence[str]
    choice: ImageChoice
    read_images: bool = True
    every_image: bool = False
    label_file: tuple[str, bytes] | None = None

    def samples(self, url: str) -> Iterator[TarSample]:
        """The samples of a shard.

        Raises:
            DataError: the shard cannot be read or is damaged; a label has no image; the members of
                a sample are apart; a name leads out of the archive.
        """
        path = local_path(url)
        try:
            stream: Any = path.open("rb") if path else open_patiently(url)
        except Exception as err:  # the clients of remote stores raise almost any type
            raise _unreadable(url, err) from err
        try:
            yield from self._grouped(url, stream)
            stream.close()  # reports the exit status of a command
        except DAMAGE as err:
            raise _unreadable(url, err, _failed_command(stream)) from err
        except GanforgeError:
            raise
        except Exception as err:
            if path is not None:
                raise
            raise _unreadable(url, err) from err
        finally:
            with contextlib.suppress(OSError):
                stream.close()

    def _grouped(self, url: str, stream: Any) -> Iterator[TarSample]:
        sample, seen = TarSample(url, ""), set[int]()
        for member, file in members(stream):
            name = str(PurePosixPath(member.name))
            check_inside(member.name, url)
            if file is None:
                is_link = member.issym() or member.islnk()
                reason = reasons.LINKED_MEMBER if is_link else reasons.SPECIAL
                self.choice.left_out.add(reason, name)
                continue
            content = _Content(url, member, file)
            split = self._split(name, content)
            if split is None:
                continue
            key, extension = split
            if key != sample.key:
                yield from self._whole(sample)
                if hash(key) in seen:
                    raise _apart(url, key, name)
                seen.add(hash(key))
                sample = TarSample(url, key)
            self._add(sample, name, extension, content)
        yield from self._whole(sample)

    def _split(self, name: str, content: _Content) -> tuple[str, str] | None:
        """Key and extension of a member; None if it is left out."""
        if PurePosixPath(name).name == LABEL_FILE:
            self.label_file = self.label_file or (name, content.read())
            return None
        if system_part(name) is None:
            for pattern in (_FIRST_DOT, _NAME):
                found = pattern.fullmatch(name)
                if found and self._is_known(found[2].lower()):
                    return found[1], found[2].lower()
            stem, _, last = name.rpartition(".")
            if found and not _PARTS.fullmatch(found[2]) and self._is_known(last.lower()):
                return stem, last.lower()
            if found and PurePosixPath(name).suffix.lower() in EXTENSIONS:
                return found[1], found[2].lower()
        suffix = self.choice.add(name, content.head)
        return (name, suffix[1:]) if suffix else None

    def _is_known(self, extension: str) -> bool:
        return extension in (*self.image, *self.label, *self.side)

    def _add(self, sample: TarSample, name: str, extension: str, content: _Content) -> None:
        if extension in self.label or extension in self.side:
            if extension in sample.side:
                raise _apart(sample.url, sample.key, name)
            sample.side[extension] = content.read()
        elif extension in self.image or sample.key == name:
            if extension in (sample.extension, *(other for _, other, _ in sample.more)):
                raise _apart(sample.url, sample.key, name)
            image = content.read() if self.read_images else b""
            if not sample.name:
                sample.name, sample.extension, sample.image = name, extension, image
            else:
                sample.more.append((name, extension, image))
        else:
            sample.strange.append(name)

    def _whole(self, sample: TarSample) -> Iterator[TarSample]:
        """The sample, or one for each of its images; nothing if it has no image."""
        if not self._is_whole(sample):
            return
        for name in sample.strange:
            self.choice.left_out.add(reasons.BESIDE, name)
        images = [(sample.name, sample.extension, sample.image), *sample.more]
        images.sort(key=lambda image: self._rank(image[1]))
        for name, extension, image in images[: None if self.every_image else 1]:
            key = name if self.every_image and sample.more else sample.key
            yield TarSample(sample.url, key, name, extension, image, sample.side)
        for name, *_ in () if self.every_image else images[1:]:
            self.choice.left_out.add(reasons.BESIDE, name)

    def _rank(self, extension: str) -> int:
        return self.image.index(extension) if extension in self.image else len(self.image)

    def _is_whole(self, sample: TarSample) -> bool:
        """Whether a sample has an image. Texts alone are left out, e.g. README.txt."""
        if sample.name or not sample.key:
            return bool(sample.name)
        there = [*(name.removeprefix(f"{sample.key}.") for name in sample.strange), *sample.side]
        if sample.strange or set(sample.side) & set(self.label):
            image = ";".join(self.image)
            raise DataError(
                f"{sample.where} has no image ({image}). {suggest(image, there)} The extension "
                f"begins at the first dot. Set `image` in data.source; if the image is elsewhere "
                f"in the tar, write it again with the members of a sample together (tar "
                f"--sort=name)."
            )
        for extension in there:
            self.choice.left_out.add(reasons.OTHER, f"{sample.key}.{extension}")
        return False


def _apart(url: str, key: str, name: str) -> DataError:
    return DataError(
        f"{url} has '{name}' after other samples, or twice: sample '{key}' was already there. The "
        f"members of a sample must follow each other, each once. Write the tar again with "
        f"tar --sort=name."
    )


def _failed_command(stream: Any) -> str:
    """That the command of a pipe failed, which explains why its tar is cut; empty otherwise."""
    if not hasattr(stream, "proc"):
        return ""
    try:
        stream.close()
    except OSError as err:
        return f"{_why(err)}; "
    return ""


def _why(err: BaseException) -> str:
    """The text of an error; of a pipe the exit status, which webdataset puts into its internals."""
    status = re.search(r"\): exit (-?\d+) \(read\)", str(err))
    return f"its command ended with status {status[1]}" if status else str(err)


def _unreadable(url: str, err: BaseException, cause: str = "") -> DataError:
    looked = f" (looked in {Path.cwd()})" if isinstance(err, FileNotFoundError) else ""
    why = _why(err) or type(err).__name__
    cause = "" if cause.startswith(why) else cause
    return DataError(f"urls: '{url}' cannot be read ({cause}{why}){looked}. Correct or fetch it.")
