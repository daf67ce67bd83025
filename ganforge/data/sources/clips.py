"""Sources of clips: the base of `frames` and `video`, and `frames` itself."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field, model_validator

from ganforge.config.models import StrictModel
from ganforge.data.keypoints import find_poses, holds_keypoints, read_poses
from ganforge.data.sources.image_files import image_files, key_of
from ganforge.data.sources.matching import listed, partners
from ganforge.data.sources.paths import UserPath
from ganforge.errors import DataError
from ganforge.interfaces.source import Poses, Sample, Source


class ClipsConfig(StrictModel):
    """Where clips are: one place, or two places with pairs of clips."""

    path: UserPath | None = Field(None, description="The clips, where they are no pairs.")
    source: UserPath | None = Field(
        None,
        description="Pairs: the clips to translate, or their keypoints (.json), which are drawn.",
    )
    target: UserPath | None = Field(
        None, description="Pairs: the clips to translate to, of the same names and lengths."
    )
    part: tuple[float, float] = Field(
        (0.0, 1.0),
        description="Begin and end of what is used of each clip, as shares of its length: [0, 0.8] "
        "to train, [0.8, 1] to validate.",
    )
    max_frames: int = Field(
        1000,
        gt=0,
        description="Longer clips are cut into equal pieces of at most this many frames.",
    )

    @model_validator(mode="after")
    def _is_one_or_two_places(self) -> "ClipsConfig":
        places = (self.path is not None, self.source is not None, self.target is not None)
        if places not in ((True, False, False), (False, True, True)):
            raise ValueError("give path, or source and target for pairs of clips")
        return self

    @model_validator(mode="after")
    def _part_is_within(self) -> "ClipsConfig":
        begin, end = self.part
        if not 0 <= begin < end <= 1:
            raise ValueError(f"part must be two shares from 0 to 1, rising, got {list(self.part)}")
        return self


ClipsConfigT = TypeVar("ClipsConfigT", bound=ClipsConfig)


class ClipsSource(Source[ClipsConfigT]):
    """Clips, whole or in pieces: the field frames, and source of pairs.

    Keypoints are two fields: `source`, which is drawn, and `pose`, the same as numbers.
    """

    def __init__(self, config: ClipsConfigT) -> None:
        super().__init__(config)
        self.faults: dict[str, str] = {}
        """Names of clips that cannot be read, and why. `find` adds them."""

    @abstractmethod
    def find(self, option: str) -> Mapping[str, Any]:
        """The clips in the place that an option names; each has a length and can be sliced."""

    def _found(self, *options: str) -> list[dict[str, Any]]:
        """The clips in some places, without those that cannot be read in one of them."""
        found = [self.find(option) for option in options]
        return [{n: clip for n, clip in each.items() if n not in self.faults} for each in found]

    @cached_property
    def _clips(self) -> dict[str, dict[str, Any]]:
        """The clips by name, each by field."""
        config = self.config
        if config.path is not None:
            found = self._found("path")[0]
            return {name: {"frames": self._part(clip)} for name, clip in found.items()}
        source, target = self._pairs()
        sides = {f"source={config.source!r}": source, f"target={config.target!r}": target}
        names = partners(sides, "error", "clips")
        unequal = [
            f"{name} ({len(source[name])} and {len(target[name])} frames)"
            for name in names
            if len(source[name]) != len(target[name])
        ]
        if unequal:
            raise DataError(
                f"{len(unequal)} clips differ in length between source={config.source!r} and "
                f"target={config.target!r}: {listed(unequal)}. Make each pair equally long."
            )
        sides = {"source": source, "frames": target}
        if all(isinstance(clip, Poses) for clip in source.values()):
            sides["pose"] = source
        return {n: {field: self._part(side[n]) for field, side in sides.items()} for n in names}

    def _pairs(self) -> list[dict[str, Any]]:
        """The clips of both places by name; the keypoints of a single clip may have any name."""
        place = Path(self.config.source or "")
        if not holds_keypoints(place):
            return self._found("source", "target")
        poses = self._find_poses(place)
        (target,) = self._found("target")
        if len(poses) == len(target) == 1:
            poses = dict(zip(target, poses.values(), strict=True))
        return [{n: clip for n, clip in poses.items() if n not in self.faults}, target]

    def _find_poses(self, place: Path) -> dict[str, Poses]:
        if place.is_file():
            return {place.stem: read_poses(place)}
        found = {}
        for name, path in find_poses(place):
            try:
                found[name] = read_poses(path)
            except DataError as err:
                self.faults[name] = str(err).rstrip(".")
        return found

    def _part(self, clip: Any) -> Any:
        begin, end = (round(share * len(clip)) for share in self.config.part)
        return clip[begin:end]

    @cached_property
    def _pieces(self) -> list[tuple[str, int, int]]:
        """Name, begin and end of each sample."""
        return [
            (name, begin, end)
            for name, clip in self._clips.items()
            for begin, end in cut(len(clip["frames"]), self.config.max_frames)
        ]

    def samples(self, stream: str = "main") -> Iterator[Sample]:
        """Field frames, and source where clips are pairs."""
        for name, begin, end in self._pieces:
            clip = self._clips[name]
            is_whole = end - begin == len(clip["frames"])
            key = key_of(name if is_whole else f"{name}_{begin:06d}")
            yield Sample(key, {field: v[begin:end] for field, v in clip.items()}, group=name)
        for name, fault in self.faults.items():
            yield Sample(key_of(name), {}, fault=fault)

    def num_samples(self) -> int:
        """Clips, or pieces of them."""
        return len(self._pieces) + len(self.faults)


def cut(length: int, most: int) -> Iterator[tuple[int, int]]:
    """Begin and end of the fewest pieces of at most `most` frames, equally long but for one."""
    count = max(1, -(-length // most))
    for number in range(count):
        yield number * length // count, (number + 1) * length // count


class FramesSource(ClipsSource[ClipsConfig]):
    """Clips that are folders of images: each sub-folder holds the frames of one, in order."""

    name, Config = "frames", ClipsConfig

    def find(self, option: str) -> dict[str, Sequence[Path]]:
        """The frames of each sub-folder, in natural order."""
        folder = Path(getattr(self.config, option))
        clips: dict[str, list[Path]] = {}
        for name in image_files(folder, option):
            clips.setdefault(str(Path(name).parent), []).append(folder / name)
        return dict(clips)
