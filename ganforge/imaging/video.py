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
        num_frames: number of packets; fewer frames may be decodable.
        height, width: of the frames, upright.
        colors: the color coding of the frames.
        pixel_aspect: width of a pixel over its height.
        start: seconds before the first frame or audio packet.
    """

    def __init__(self, path: Path) -> None:
        """Read the times of all frames, and decode the first one.

        Raises:
            ConfigError: PyAV is missing.
            DataError: the file is not a video, or its first frame cannot be decoded.
        """
        self.path = path
        with open_stream(path) as (container, stream):
            found = [packet.pts for packet in packets(container, stream, path) if packet.size]
            self.num_frames = len(found)
            self.timing, self._first = _timing(stream, found)
            context = stream.codec_context
            self.colors: Colors = (
                context.colorspace, context.color_range, context.color_trc, context.color_primaries
            )  # fmt: skip
            self.pixel_aspect = Fraction(stream.sample_aspect_ratio or 1)
            # Audio may start slightly before 0, with samples that only prime its decoder.
            self.start = Fraction(max(0, container.start_time or 0), 1_000_000)
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
        with open_stream(self.path) as (container, stream):
            for packet in packets(container, stream, self.path):
                fault = "it is damaged"
                try:
                    frames = packet.decode()
                except pyav().error.FFmpegError as err:
                    frames, fault = [None], err.strerror
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


_NO_VIDEOS = ("image2", "tty", "concat", "hls", "dash", "sdp", "webm_dash_manifest")
"""Formats of FFmpeg that are pictures, texts, or lists of other files."""


@contextlib.contextmanager
def open_video(path: Path) -> Iterator[Any]:
    """PyAV's container of a file.

    Raises:
        ConfigError: PyAV is missing.
        DataError: the file is not a video.
    """
    av = pyav()
    try:
        # Titles need not be UTF-8. A playlist must not make FFmpeg open addresses.
        options = {"protocol_whitelist": "file"}
        container = av.open(str(path), options=options, metadata_errors="replace")
    except (av.error.FFmpegError, OSError, ValueError) as err:
        reason = getattr(err, "strerror", None) or err
        raise DataError(f"{path} cannot be read as a video ({reason}). Check the file.") from err
    with container:
        name = container.format.name
        if name.endswith("_pipe") or name in _NO_VIDEOS:
            raise DataError(f"{path} is not a video ({container.format.long_name}). Give a video.")
        yield container


@contextlib.contextmanager
def open_stream(path: Path) -> Iterator[tuple[Any, Any]]:
    """PyAV's container of a file, and its first video stream that is not a cover picture.

    Raises:
        ConfigError: PyAV is missing.
        DataError: the file is not a video.
    """
    with open_video(path) as container:
        covers = pyav().stream.Disposition.attached_pic
        streams = [s for s in container.streams.video if not s.disposition & covers]
        if not streams:
            raise DataError(f"{path} has no video stream. Give a video.")
        if streams[0].codec_context is None:
            raise DataError(f"{path} is damaged, or of a codec that PyAV lacks. Re-encode it.")
        yield container, streams[0]


def packets(container: Any, stream: Any, path: Path) -> Iterator[Any]:
    """The packets of a stream of the file at `path`, then an empty one that ends the decoding.

    Raises:
        DataError: the file cannot be read to its end.
    """
    demuxed = container.demux(stream)
    while True:
        try:
            packet = next(demuxed, None)
        except pyav().error.FFmpegError as err:
            raise DataError(
                f"{path} cannot be read to its end ({err.strerror}). Repair it, or cut it before "
                f"the fault."
            ) from err
        if packet is None:
            return
        yield packet


def _timing(stream: Any, found: list[int | None]) -> tuple[Timing, int | None]:
    """Timing and first time, from the times of all frames in any order.

    In a file without times, the frames follow each other at the rate.
    """
    rate = Fraction(stream.average_rate or stream.guessed_rate or 25)
    unit = Fraction(stream.time_base)
    if None in found or not found:
        return Timing.constant(rate), None
    times = np.sort(np.array(found))
    step = float(1 / (rate * unit))
    gaps = times - times[0] - np.arange(len(times)) * step
    # A container rounds times to its unit, such as a millisecond.
    is_constant = bool((np.abs(gaps) <= 1).all())
    return Timing.constant(rate) if is_constant else Timing(rate, unit), int(times[0])


def _upright(frame: Any) -> NDArray[np.uint8]:
    matrix, color_range = int(frame.colorspace), int(frame.color_range)
    rgb = frame.reformat(format="rgb24", src_colorspace=matrix, src_color_range=color_range)
    pixels = rgb.to_ndarray()
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
