"""Sources that are folders of image files: classes, pairs, unpaired domains."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import Field

from ganforge.config.models import StrictModel
from ganforge.data.sources.file_labels import FileLabels, file_labels, folder_label_file
from ganforge.data.sources.image_files import image_files, key_of
from ganforge.data.sources.matching import partners
from ganforge.data.sources.paths import UserPath
from ganforge.errors import DataError
from ganforge.interfaces.source import ImageHalf, Sample, Source


class FolderConfig(StrictModel):
    """Options of the `folder` source."""

    path: UserPath = Field(description="Folder of images, sub-folders included.")
    labels: bool | None = Field(
        None, description="Sub-folders are classes. Default: when all images lie in two or more."
    )


class FolderSource(Source[FolderConfig]):
    """Images in a folder; sub-folders become class labels."""

    name, Config = "folder", FolderConfig

    @cached_property
    def _files(self) -> list[str]:
        return image_files(Path(self.config.path), "path", keep_unreadable=True)

    @cached_property
    def _labels(self) -> FileLabels:
        path, labels = self.config.path, self.config.labels
        return file_labels(self._files, labels, path, folder_label_file(Path(path), labels))

    def class_names(self) -> Sequence[str]:
        """Names of the sub-folders, or the numbers of dataset.json."""
        return self._labels.names

    def samples(self, stream: str = "main") -> Iterator[Sample]:
        """Fields image and, with classes, label."""
        labels = self._labels.of
        for name in self._files:
            fields: dict[str, object] = {"image": Path(self.config.path) / name}
            if labels:
                fields["label"] = labels[name]
            yield Sample(key_of(name), fields)

    def num_samples(self) -> int:
        """Images in the folder."""
        return len(self._files)


class TwoFoldersConfig(StrictModel):
    """Options of the sources made of two folders."""

    source: UserPath = Field(description="Folder of the images to translate.")
    target: UserPath = Field(description="Folder of the images to translate to.")


def _refuse_shared_images(config: TwoFoldersConfig) -> None:
    """Refuse one folder twice, and a folder in the other, whose images would be on both sides."""
    source, target = Path(config.source).resolve(), Path(config.target).resolve()
    names = f"source={config.source!r} and target={config.target!r}"
    if source == target:
        raise DataError(
            f"{names} are the same folder, so there is nothing to translate. Name two folders."
        )
    if source in target.parents or target in source.parents:
        raise DataError(
            f"{names} lie in each other, so that images would be on both sides. Move one out."
        )


class UnpairedSource(Source[TwoFoldersConfig]):
    """Two domains without pairs: two streams, each with its own order."""

    name, Config = "unpaired", TwoFoldersConfig

    @cached_property
    def _files(self) -> dict[str, list[str]]:
        _refuse_shared_images(self.config)
        return {s: image_files(Path(getattr(self.config, s)), s) for s in self.streams()}

    def streams(self) -> Sequence[str]:
        """The domains."""
        return ("source", "target")

    def samples(self, stream: str = "main") -> Iterator[Sample]:
        """One field, named like the stream."""
        folder = Path(getattr(self.config, stream))
        for name in self._files[stream]:
            yield Sample(key_of(name), {stream: folder / name})

    def num_samples(self) -> int:
        """Images in both folders."""
        return sum(map(len, self._files.values()))


class PairsConfig(TwoFoldersConfig):
    """Options of the `pairs` source."""

    unmatched: Literal["error", "skip"] = Field(
        "error", description="skip: leave out images without a partner, with a warning."
    )


class PairsSource(Source[PairsConfig]):
    """Pairs of images with equal names in two folders; the extensions may differ."""

    name, Config = "pairs", PairsConfig

    @cached_property
    def _pairs(self) -> list[tuple[str, Path, Path]]:
        config = self.config
        _refuse_shared_images(config)
        source, target = self._by_stem("source"), self._by_stem("target")
        sides = {f"source={config.source!r}": source, f"target={config.target!r}": target}
        stems = partners(sides, config.unmatched, "images")
        return [(stem, source[stem], target[stem]) for stem in stems]

    def _by_stem(self, option: str) -> dict[str, Path]:
        folder = Path(getattr(self.config, option))
        found: dict[str, Path] = {}
        for name in image_files(folder, option):
            stem = str(Path(name).with_suffix(""))
            if stem in found:
                raise DataError(
                    f"{option}={str(folder)!r} has two images named '{stem}' ({found[stem].name} "
                    f"and {Path(name).name}). Keep one."
                )
            found[stem] = folder / name
        return found

    def samples(self, stream: str = "main") -> Iterator[Sample]:
        """Fields source and target."""
        for stem, source, target in self._pairs:
            yield Sample(key_of(stem), {"source": source, "target": target})

    def num_samples(self) -> int:
        """Pairs."""
        return len(self._pairs)


class SideBySideConfig(StrictModel):
    """Options of the `side_by_side` source."""

    path: UserPath = Field(description="Folder of images that show a pair next to each other.")
    order: Literal["ab", "ba"] = Field(
        "ab", description="ab: the source is on the left; ba: it is on the right."
    )


class SideBySideSource(Source[SideBySideConfig]):
    """Pairs in one image each: the left half and the right half."""

    name, Config = "side_by_side", SideBySideConfig

    @cached_property
    def _files(self) -> list[str]:
        return image_files(Path(self.config.path), "path")

    def samples(self, stream: str = "main") -> Iterator[Sample]:
        """Fields source and target."""
        names = ("source", "target") if self.config.order == "ab" else ("target", "source")
        for name in self._files:
            path = Path(self.config.path) / name
            left, right = ImageHalf(path, "left"), ImageHalf(path, "right")
            yield Sample(key_of(name), dict(zip(names, (left, right), strict=True)))

    def num_samples(self) -> int:
        """Images in the folder."""
        return len(self._files)
