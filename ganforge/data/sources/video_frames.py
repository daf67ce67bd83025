"""The frames of a video file: listed without decoding them, then decoded one by one."""

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganforge.errors import DataError
from ganforge.imaging.codec import Pixels
from ganforge.imaging.video import open_stream, pyav
from ganforge.interfaces.source import Frames

logger = logging.getLogger(__name__)

_REENCODE = "re-encode it, e.g. with ffmpeg -i in.avi out.mp4"


@dataclass(frozen=True)
class VideoFrames(Frames):
    """Frames of a video file by their times, in units of its time base."""

    path: Path
    times: tuple[int, ...]
    start: int
    """The time of the first frame in the file."""

    def __len__(self) -> int:
        return len(self.times)

    def __getitem__(self, part: slice) -> "VideoFrames":
        return replace(self, times=self.times[part])

    def __str__(self) -> str:
        return str(self.path)

    def __iter__(self) -> Iterator[Pixels]:
        """The frames as arrays [H, W, C], turned upright."""
        if not self.times:
            return
        number = 0
        for time, frame in self._decoded():
            while number < len(self) and self.times[number] == time:
                yield _upright(frame)
                number += 1
            if number == len(self):
                return
            if time > self.times[number]:
                break
        raise DataError(
            f"{self.path} lacks frame {number} of {len(self)}, which its packets list; it may "
            f"be damaged: {_REENCODE}"
        )

    def _decoded(self) -> Iterator[tuple[int, Any]]:
        """Times and decoded frames, from the first wanted frame or a little earlier."""
        with _opened(self.path) as (container, stream):
            if self.times[0] != self.start:
                container.seek(self.times[0], stream=stream)
            for number, frame in enumerate(container.decode(stream)):
                if number == 0 and frame.pts is not None and frame.pts > self.times[0]:
                    break  # The index of the file is wrong: read it from the start.
                if frame.pts is not None:
                    yield frame.pts, frame
            else:
                return
        with _opened(self.path) as (container, stream):
            yield from ((f.pts, f) for f in container.decode(stream) if f.pts is not None)


def scan_video(path: Path, fps: float | None, every: int) -> VideoFrames:
    """The frames of a video, found by reading its packets.

    Args:
        path: video file.
        fps: frames per second to resample to, each the nearest in time; None for all frames.
        every: take every N-th frame of these.

    Raises:
        ConfigError: PyAV is missing.
        DataError: it is no video, or its frames have no times.
    """
    with _opened(path) as (container, stream):
        # Not the packets themselves, which together are the whole file.
        found = [p.pts for p in container.demux(stream) if p.size and not p.is_discard]
        base = stream.time_base
        _warn_of_depth(path, stream)
    if None in found:
        # Packets of old formats have no times, but their decoded frames have.
        with _opened(path) as (container, stream):
            found = [frame.pts for frame in container.decode(stream)]
    times = sorted({time for time in found if time is not None})
    if not times:
        raise DataError(f"{path} has no frames with times: {_REENCODE}.")
    chosen = times if fps is None else _resampled(times, base, fps)
    return VideoFrames(path, tuple(chosen[::every]), times[0])


def _resampled(times: list[int], base: Fraction, fps: float) -> list[int]:
    """The times nearest to those of another frame rate; a higher rate repeats frames."""
    # In units of the time base; exact, so that equal rates give equal frames.
    step = 1 / (Fraction(fps).limit_denominator(10000) * base)
    # 29.97 frames per second are meant to be 30000 / 1001: do not lose the last frame to that.
    count = int((times[-1] - times[0]) / step + Fraction(1, 10)) + 1
    wanted = np.array([float(times[0] + number * step) for number in range(count)])
    places = np.searchsorted((np.array(times[1:]) + np.array(times[:-1])) / 2, wanted)
    return [times[place] for place in places]


def _warn_of_depth(path: Path, stream: Any) -> None:
    """Say that colors of 10 and 12 bits, of which many are HDR, are read with 8."""
    pixels = stream.codec_context.format
    bits = max((part.bits for part in pixels.components), default=8) if pixels else 8
    if bits > 8 and not pixels.name.startswith("gray"):
        logger.warning("%s has %d bits per channel; its frames are read with 8.", path, bits)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """The container and the video stream of a file.

    Raises:
        ConfigError: PyAV is missing.
        DataError: the file is no video, or decoding it fails in the block.
    """
    try:
        with open_stream(path) as (container, stream):
            stream.codec_context.thread_count = 1  # `prepare` has a process per core
            yield container, stream
    except pyav().error.FFmpegError as err:
        raise DataError(f"{path} cannot be decoded ({err}). Repair or remove it.") from err


def _upright(frame: Any) -> Pixels:
    """The pixels of a frame, turned as its display matrix says."""
    name = frame.format.name
    layout = "gray" if name == "gray" else "gray16le" if name.startswith("gray") else "rgb24"
    pixels: NDArray[Any] = frame.to_ndarray(format=layout)
    turned = np.rot90(pixels, round(frame.rotation / 90) % 4)
    return np.ascontiguousarray(turned[..., None] if turned.ndim == 2 else turned)
