"""Video files, read frame by frame with PyAV (the extra `video`)."""

import contextlib
import importlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganforge.errors import ConfigError, DataError

VIDEO_SUFFIXES = {
    ".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".wmv", ".flv", ".ogv"
}  # fmt: skip
Colors = tuple[int, int, int, int]
"""Matrix, range, transfer curve and primaries, as H.273 numbers them."""


@dataclass(frozen=True)
class Timing:
    """When the frames of a video are shown."""

    rate: Fraction
    """Frames per second; the mean where it varies."""
    time_base: Fraction
    """Seconds per unit of a frame's time; 1 / rate where the rate is constant."""

    @classmethod
    def constant(cls, rate: Fraction) -> "Timing":
        """Frame n is shown at n / rate seconds."""
        return cls(rate, 1 / rate)


@dataclass(frozen=True)
class Frame:
    """One frame of a video, upright."""

    pixels: NDArray[np.uint8]
    """[H, W, 3] RGB."""
    time: int
    """In units of `Timing.time_base`, from the start of the video."""


class VideoFile:
    """A video file whose frames are decoded as they are consumed.

    Attributes:
        path: the file.
        timing: its frame rate, exact; the times of a variable rate are kept.
        num_frames: as the file says; damaged files may have fewer.
        height, width: of the frames, upright.
        colors: how they are coded.
        pixel_aspect: width of a pixel over its height.
        start: seconds before the first frame or sound.
    """

    def __init__(self, path: Path) -> None:
        """Read the times of all frames, and decode the first one.

        Raises:
            ConfigError: PyAV is missing.
            DataError: the file is no video, or its first frame cannot be decoded.
        """
        self.path = path
        with self._open() as (container, stream):
            self.timing, self.num_frames, self._first = _scan(container, stream)
            context = stream.codec_context
            self.colors: Colors = (
                context.colorspace, context.color_range, context.color_trc, context.color_primaries
            )  # fmt: skip
            self.pixel_aspect = Fraction(stream.sample_aspect_ratio or 1)
            self.start = Fraction(container.start_time or 0, 1_000_000)
            self._time_base = Fraction(stream.time_base)
        with contextlib.closing(self.frames()) as frames:
            first = next(frames, None)
        if first is None:
            raise DataError(f"{path} has no frames. Check the file.")
        self.height, self.width, _ = first.pixels.shape

    def frames(self, skip_bad: bool = False) -> Generator[Frame, None, None]:
        """All frames in the order in which they are shown.

        Raises:
            DataError: a frame is damaged, unless `skip_bad`, or has another size than the first.
        """
        last, size = -1, None
        for number, frame in enumerate(self._decoded(skip_bad)):
            last = max(self._time(frame.pts, last + 1), last + 1)
            pixels = _upright(frame)
            size = size or pixels.shape
            if pixels.shape != size:
                raise DataError(
                    f"Frame {number} of {self.path} is {pixels.shape[0]} x {pixels.shape[1]}, the "
                    f"frames before it are {size[0]} x {size[1]} (height x width). Cut the video "
                    f"there."
                )
            yield Frame(pixels, last)

    def _decoded(self, skip_bad: bool) -> Iterator[Any]:
        number = 0
        with self._open() as (container, stream):
            for packet in container.demux(stream):
                fault = "it is damaged"
                try:
                    frames = packet.decode()
                except pyav().error.FFmpegError as err:
                    frames, fault = [None], str(err)
                for frame in frames:
                    if frame is not None and not frame.is_corrupt:
                        yield frame
                    elif not skip_bad:
                        raise DataError(
                            f"Frame {number} of {self.path} cannot be decoded ({fault}). Repair "
                            f"the file, or leave damaged frames out: skip_bad=True (--skip-bad)."
                        )
                    number += 1

    def _time(self, pts: int | None, default: int) -> int:
        if pts is None or self._first is None:
            return default
        # The delay is rounded once, so that the frames after it keep their distances.
        delay = self._first * self._time_base - self.start
        since_first = (pts - self._first) * self._time_base
        return round(since_first / self.timing.time_base) + round(delay / self.timing.time_base)

    @contextlib.contextmanager
    def _open(self) -> Iterator[tuple[Any, Any]]:
        with open_video(self.path) as container:
            covers = pyav().stream.Disposition.attached_pic
            streams = [s for s in container.streams.video if not s.disposition & covers]
            if not streams:
                raise DataError(f"{self.path} has no video stream. Give a video.")
            yield container, streams[0]


@contextlib.contextmanager
def open_video(path: Path) -> Iterator[Any]:
    """PyAV's container of a file.

    Raises:
        ConfigError: PyAV is missing.
        DataError: the file is no video.
    """
    av = pyav()
    try:
        container = av.open(str(path))
    except (av.error.FFmpegError, OSError) as err:
        raise DataError(f"{path} cannot be read as a video ({err}). Check the file.") from err
    with container:
        name = container.format.name
        if name.endswith("_pipe") or name in ("image2", "tty"):
            raise DataError(f"{path} is no video ({container.format.long_name}). Give a video.")
        yield container


def _scan(container: Any, stream: Any) -> tuple[Timing, int, int | None]:
    """Timing, number of frames and first time, from the times of all packets.

    In a file without times, such as AVI, the frames follow each other at the rate.
    """
    rate = Fraction(stream.average_rate or stream.guessed_rate or 25)
    unit = Fraction(stream.time_base)
    found = [packet.pts for packet in container.demux(stream) if packet.size]
    if None in found or not found:
        return Timing.constant(rate), len(found), None
    times = np.sort(np.array(found))
    step = float(1 / (rate * unit))
    gaps = times - times[0] - np.arange(len(times)) * step
    # A container rounds times to its unit, such as a millisecond.
    is_constant = bool((np.abs(gaps) <= 1).all())
    return Timing.constant(rate) if is_constant else Timing(rate, unit), len(found), int(times[0])


def _upright(frame: Any) -> NDArray[np.uint8]:
    pixels = frame.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90)))


def pyav() -> Any:
    """The library PyAV.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return importlib.import_module("av")
    except ImportError as err:
        raise ConfigError(
            "Videos are read and written by PyAV, which is not installed: pip install "
            "'ganforge[video]'. Animations can be .gif instead."
        ) from err
