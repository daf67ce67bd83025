"""Clips in video files, read by PyAV (the extra `video`)."""

from pathlib import Path

from pydantic import Field

from ganforge.data.sources.class_names import natural_order
from ganforge.data.sources.clips import ClipsConfig, ClipsSource
from ganforge.data.sources.image_files import looked_in, unreadable_folder
from ganforge.data.sources.video_frames import VideoFrames, scan_video
from ganforge.data.sources.walk import walk
from ganforge.errors import DataError
from ganforge.imaging.video import VIDEO_SUFFIXES, pyav


class VideoConfig(ClipsConfig):
    """Options of the `video` source; each place is a file, or a folder of files."""

    fps: float | None = Field(
        None, gt=0, description="Resample to this frame rate. Default: as in the file."
    )
    every: int = Field(1, gt=0, description="Take every N-th frame.")


class VideoSource(ClipsSource[VideoConfig]):
    """Clips in video files. Files are decoded frame by frame, so they may be of any length."""

    name, Config = "video", VideoConfig

    def find(self, option: str) -> dict[str, VideoFrames]:
        """The videos by name without extension."""
        place = Path(getattr(self.config, option))
        _ = pyav()  # Before anything else, so that what to install is said first.
        if place.is_file():
            # Two files are a pair, whatever their names are.
            name = place.stem if option == "path" else "video"
            return {name: self._scan(place)}
        found: dict[str, VideoFrames] = {}
        for name, path in _files(place, option).items():
            try:
                found[name] = self._scan(path)
            except DataError as err:
                self.faults[name] = str(err).rstrip(".")
        return found

    def _scan(self, path: Path) -> VideoFrames:
        return scan_video(path, self.config.fps, self.config.every)


def _files(folder: Path, option: str) -> dict[str, Path]:
    if not folder.is_dir():
        raise DataError(
            f"{option}={str(folder)!r} is no file and no folder{looked_in(folder)}. Correct the "
            f"path."
        )
    found: dict[str, Path] = {}
    paths = []
    for entry in walk(folder):
        path = folder / entry.name
        if entry.kind == "unreadable":
            raise unreadable_folder(path, entry.error) from entry.error
        if entry.kind in ("file", "broken") and path.suffix.lower() in VIDEO_SUFFIXES:
            paths.append(path)
    for path in sorted(paths, key=lambda path: natural_order(str(path))):
        name = str(path.relative_to(folder).with_suffix(""))
        if name in found:
            raise DataError(
                f"{option}={str(folder)!r} has two videos named '{name}' ({found[name].name} and "
                f"{path.name}). Keep one."
            )
        found[name] = path
    if not found:
        known = ", ".join(sorted(VIDEO_SUFFIXES))
        raise DataError(f"{option}={str(folder)!r} holds no videos ({known}). Correct the path.")
    return found
