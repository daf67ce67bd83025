"""Sources that are folders of image files: classes, pairs, unpaired domains, frame sequences."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

from pydantic import Field

from ganforge.config.models import StrictModel
from ganforge.data.sources.class_names import natural_order
from ganforge.data.sources.file_labels import FileLabels, file_labels, folder_label_file
from ganforge.data.sources.image_files import image_files, key_of
from ganforge.data.sources.paths import UserPath
from ganforge.errors import DataError
from ganforge.interfaces.source import Sample, Source


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


class UnpairedSource(Source[TwoFoldersConfig]):
    """Two domains without pairs: two streams, each with its own order."""

    name, Config = "unpaired", TwoFoldersConfig

    @cached_property
    def _files(self) -> dict[str, list[str]]:
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


class PairsSource(Source[TwoFoldersConfig]):
    """Pairs of images with equal names in two folders; the extensions may differ."""

    name, Config = "pairs", TwoFoldersConfig

    @cached_property
    def _pairs(self) -> list[tuple[str, Path, Path]]:
        source, target = (self._by_stem(option) for option in ("source", "target"))
        alone = sorted(set(source) ^ set(target), key=natural_order)
        if alone:
            side, other = ("source", "target") if alone[0] in source else ("target", "source")
            raise DataError(
                f"{len(alone)} images have no partner; the first is '{alone[0]}' in {side}="
                f"{getattr(self.config, side)!r}, which {other}={getattr(self.config, other)!r} "
                f"lacks. Give partners equal names, or use the source 'unpaired'."
            )
        return [(stem, path, target[stem]) for stem, path in source.items()]

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


class FramesConfig(StrictModel):
    """Options of the `frames` source."""

    path: UserPath = Field(description="Folder with one sub-folder of frame images per clip.")
    num_frames: int = Field(gt=0, description="Frames per sample.")
    stride: int = Field(1, gt=0, description="Take every N-th frame of a clip.")
    step: int | None = Field(
        None, gt=0, description="Frames between the starts of samples. Default: no overlap."
    )


class FramesSource(Source[FramesConfig]):
    """Frame sequences cut from clips, each a sub-folder of images in natural order."""

    name, Config = "frames", FramesConfig

    @cached_property
    def _clips(self) -> dict[str, list[str]]:
        clips: dict[str, list[str]] = {}
        for name in image_files(Path(self.config.path), "path"):
            clips.setdefault(str(Path(name).parent), []).append(name)
        return clips

    def samples(self, stream: str = "main") -> Iterator[Sample]:
        """Field frames: a list of files."""
        folder, count = Path(self.config.path), self.config.num_frames
        step = self.config.step or count * self.config.stride
        for clip, names in self._clips.items():
            span = (count - 1) * self.config.stride + 1
            for begin in range(0, len(names) - span + 1, step):
                chosen = names[begin : begin + span : self.config.stride]
                frames = [folder / name for name in chosen]
                yield Sample(key_of(f"{clip}_{begin:06d}"), {"frames": frames})
