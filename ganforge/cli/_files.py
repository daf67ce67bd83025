"""The files that a command reads, and where it writes its results."""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ganforge.data.keypoints import KEYPOINT_SUFFIX, holds_keypoints
from ganforge.data.sources.image_files import ARRAYS, EXTENSIONS, choice_below
from ganforge.errors import ConfigError
from ganforge.imaging.video import VIDEO_SUFFIXES
from ganforge.imaging.video_writer import WRITTEN_SUFFIXES

FIELD_SUFFIXES = EXTENSIONS | {ARRAYS}
STDIN = Path("-")


@dataclass(frozen=True)
class Job:
    """A file to read, and the file to write for it."""

    source: Path
    target: Path


def list_inputs(inputs: Sequence[Path], is_null: bool = False) -> list[Path]:
    """The paths on the command line; `-` is replaced by the list on standard input.

    The list has one path per line, or NUL-terminated paths (`find -print0`).

    Raises:
        ConfigError: the list is empty.
    """
    found: list[Path] = []
    for path in inputs:
        found += _listed_paths(is_null) if path == STDIN else [path]
    return found


def _listed_paths(is_null: bool) -> list[Path]:
    listed = sys.stdin.buffer.read().split(b"\0" if is_null else b"\n")
    paths = [Path(os.fsdecode(line if is_null else line.rstrip(b"\r"))) for line in listed if line]
    if not paths:
        raise ConfigError(
            "There are no paths on standard input. List one per line, e.g. "
            "find photos -name '*.jpg' | ganforge translate MODEL -"
        )
    return paths


def plan_jobs(
    inputs: Sequence[Path], out: Path, *, as_frames: bool = False, of_frames: bool = False
) -> list[Job]:
    """A result below `out` for every image and every video of the inputs.

    What lies in a folder keeps its place in it, and files that are named one by one keep their
    place below the folder that they share. Results that are already below `out` are not read.

    Args:
        inputs: files and folders.
        out: folder of the results.
        as_frames: whether the result of a video is a folder of frames.
        of_frames: whether the images of a folder are the frames of one clip.

    Raises:
        ConfigError: two results would be the same file, or a result would replace an input.
        DataError: a folder holds no image.
    """
    files = [path for path in inputs if not path.is_dir()]
    jobs = [
        Job(path, out / _result(place, as_frames))
        for path, place in zip(files, _below_shared_folder(files), strict=True)
    ]
    for folder in (path for path in inputs if path.is_dir()):
        if holds_keypoints(folder):
            place = Path(f"{folder.resolve().name}{KEYPOINT_SUFFIX}")
            jobs.append(Job(folder, out / _result(place, as_frames)))
            continue
        found = files_in(folder, out)
        if of_frames:
            jobs += _clip_jobs(folder, found, out)
            found = [path for path in found if is_video(path)]
        jobs += [Job(path, out / _result(path.relative_to(folder), as_frames)) for path in found]
    _check_targets(jobs)
    return jobs


def is_video(path: Path) -> bool:
    """Whether a file is named like a video."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def _result(place: Path, as_frames: bool) -> Path:
    if not (is_video(place) or place.suffix.lower() == KEYPOINT_SUFFIX):
        return place.with_suffix(".png")
    if as_frames:
        return place.with_suffix("")
    return place if place.suffix.lower() in WRITTEN_SUFFIXES else place.with_suffix(".mp4")


def _clip_jobs(folder: Path, files: Sequence[Path], out: Path) -> list[Job]:
    """A folder of frames for each folder that holds some; `folder` itself keeps its name."""
    clips = dict.fromkeys(path.parent for path in files if not is_video(path))
    places = ((clip, clip.relative_to(folder)) for clip in clips)
    return [
        Job(clip, out / (place if place.name else folder.resolve().name)) for clip, place in places
    ]


def files_in(folder: Path, out: Path) -> list[Path]:
    """The images and videos below a folder, in order, without those below `out`.

    What is left out is counted and logged, by the rules for the images of a data set.
    """
    results = out.resolve()
    is_inside = results != folder.resolve()
    videos: list[Path] = []

    def is_apart(name: str) -> bool:
        path = folder / name
        if is_inside and results in path.resolve().parents:
            return True
        if is_video(path):
            videos.append(path)
        return is_video(path)

    choice = choice_below(folder, is_apart=is_apart)
    choice.leave_out_arrays()
    if not choice.images and not videos:
        raise choice.nothing("INPUTS", str(folder))
    choice.log({name.partition("/")[0] for name in choice.images if "/" in name})
    return sorted([*(folder / name for name in choice.images), *videos])


def find_beside(folder: Path, place: Path) -> Path | None:
    """The file of a folder at the same place as another, with any ending; None if there is none."""
    stem = folder / place.with_suffix("")
    candidates = (stem.with_name(stem.name + suffix) for suffix in sorted(FIELD_SUFFIXES))
    return next((path for path in candidates if path.is_file()), None)


def _below_shared_folder(files: Sequence[Path]) -> Iterator[Path]:
    whole = [os.path.abspath(path) for path in files]
    shared = os.path.commonpath([os.path.dirname(path) for path in whole]) if whole else ""
    yield from (Path(os.path.relpath(path, shared)) for path in whole)


def _check_targets(jobs: Iterable[Job]) -> None:
    sources: dict[Path, Path] = {}
    for job in jobs:
        other = sources.setdefault(job.target, job.source)
        if other != job.source:
            raise ConfigError(
                f"{other} and {job.source} would both be written to {job.target}. Translate them "
                f"in two commands with different --out, or rename one."
            )
    written = {target.resolve() for target in sources}
    lost = [source for source in sources.values() if source.resolve() in written]
    if lost:
        raise ConfigError(
            f"The results would overwrite {len(lost)} of the files that are translated, {lost[0]} "
            f"first. Give --out another folder."
        )
