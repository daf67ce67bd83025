"""Existing webdataset shards, on disk or anywhere webdataset can read."""

import functools
import itertools
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import webdataset
from pydantic import Field
from webdataset.shardlists import expand_urls

from ganforge.config.models import StrictModel
from ganforge.data.sources.class_names import count_classes
from ganforge.data.sources.image_files import EXTENSIONS, check_inside, key_of
from ganforge.errors import DataError, suggest
from ganforge.interfaces.source import Sample, Source

_IMAGES = ";".join(sorted(extension[1:] for extension in EXTENSIONS))
_READ_BYTES = 2**20


def _check_whole(url: str) -> None:
    """Refuse a damaged local tar: `tarfile` takes an unreadable header for the end."""
    path = Path(url.removeprefix("file:"))
    if path.suffix != ".tar" or not path.is_file():
        return
    with path.open("rb") as file:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            num_members = 0
            while tar.next() is not None:
                num_members += 1
                tar.members.clear()  # type: ignore[attr-defined]  # else it keeps them all
            file.seek(tar.offset)
        blocks = iter(functools.partial(file.read, _READ_BYTES), b"")
        end = next(blocks, b"")
        after = f"after member {num_members}"
        if len(end) < tarfile.BLOCKSIZE:
            raise tarfile.ReadError(f"{path} is cut: it has no end mark {after}")
        if any(map(any, itertools.chain([end], blocks))):
            raise tarfile.ReadError(f"{path} is damaged, or several tars in one, {after}")


class WebDatasetConfig(StrictModel):
    """Options of the `webdataset` source."""

    urls: str | tuple[str, ...] = Field(
        description="Shards, with braces: photos-{000000..000099}.tar, a URL or pipe:COMMAND."
    )
    image: str = Field(_IMAGES, description="Extensions of the image; the first found is used.")
    label: str | None = Field("cls", description="Extension of the class number, if there.")
    caption: str | None = Field("txt", description="Extension of the caption, if there.")
    class_names: tuple[str, ...] = Field((), description="In label order. Default: the numbers.")


class WebDatasetSource(Source[WebDatasetConfig]):
    """Samples of existing webdataset shards."""

    name, Config = "webdataset", WebDatasetConfig

    def __init__(self, config: WebDatasetConfig) -> None:
        super().__init__(config)
        self._numbers: list[str] = []
        self._num_labels = 0

    def class_names(self) -> Sequence[str]:
        """The names given, else the numbers read so far."""
        return self.config.class_names or self._numbers

    def samples(self, stream: str = "main") -> Iterator[Sample]:
        """Fields image and, where there, label and caption."""
        urls = self.config.urls
        shards = expand_urls(urls) if isinstance(urls, str) else list(urls)
        # `prepare` reads all shards in one process, so they are not split.
        whole = {"shardshuffle": False, "nodesplitter": iter, "workersplitter": iter}
        dataset = webdataset.WebDataset(shards, empty_check=False, **whole)
        try:
            for shard in shards:
                _check_whole(shard)
            for raw in dataset:
                yield self._sample(raw)
        except (OSError, ValueError, EOFError, tarfile.TarError) as err:
            fault = f"urls={urls!r} cannot be read ({err})"
            raise DataError(f"{fault}. Correct or fetch them.") from err

    def _sample(self, raw: dict[str, Any]) -> Sample:
        where = f"Sample '{raw['__key__']}' of {raw['__url__']}"
        check_inside(raw["__key__"], raw["__url__"])
        extension = next((e for e in self.config.image.split(";") if e in raw), None)
        if extension is None:
            there = sorted(name for name in raw if not name.startswith("__"))
            raise DataError(
                f"{where} has no image ({self.config.image}). {suggest(self.config.image, there)} "
                f"Set `image` in data.source."
            )
        fields: dict[str, Any] = {"image": raw[extension]}
        readers: dict[str, Callable[[bytes], Any]] = {"label": int, "caption": bytes.decode}
        for field, read in readers.items():
            name = getattr(self.config, field)
            if name is not None and name in raw:
                try:
                    fields[field] = read(raw[name])
                except ValueError as err:
                    raise DataError(
                        f"{where}: '{name}' is not a {field} ({err}). Set `{field}` in data.source "
                        f"to another extension, or to null."
                    ) from err
        if "label" in fields:
            self._num_labels += 1
            if fields["label"] >= len(self._numbers):
                count = count_classes(fields["label"], self._num_labels, where)
                self._numbers += [str(n) for n in range(len(self._numbers), count)]
        # With the shard's name, because shards may use the same keys again.
        key = key_of(f"{PurePosixPath(str(raw['__url__'])).name}_{raw['__key__']}")
        return Sample(key, fields, {"image": extension})
