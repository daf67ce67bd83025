"""Writes video files frame by frame with PyAV: H.264, and the audio of another file."""

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganforge.errors import ConfigError
from ganforge.imaging.video import Colors, Timing, VideoFile, open_video, packets, pyav
from ganforge.io.atomic import atomic_file

WRITTEN_SUFFIXES = (".mp4", ".mov", ".mkv")
_QUALITY = {"crf": "16"}
"""x264's constant rate factor. 16 looks like the original."""
_BT709: Colors = (1, 1, 1, 1)
_FAST_START = {"movflags": "faststart"}
"""Puts the index first, so that a browser can play an MP4 while it loads."""


def check_video_file(path: Path) -> None:
    """Refuse a file that cannot be written, before any frame is made.

    Raises:
        ConfigError: an unknown extension, or no PyAV.
    """
    if path.suffix.lower() not in WRITTEN_SUFFIXES:
        raise ConfigError(
            f"{path}: videos are written as {', '.join(WRITTEN_SUFFIXES)}. Use one of these "
            f"extensions, or a folder name without extension for the frames as PNG files."
        )
    pyav()


@contextlib.contextmanager
def video_writer(
    path: Path, timing: Timing, like: VideoFile | None = None, audio: bool = False
) -> Iterator["VideoWriter"]:
    """A writer of a video; the file appears when the block ends, or not at all.

    Args:
        path: file to write, with an extension of `WRITTEN_SUFFIXES`.
        timing: when its frames are shown.
        like: the video that it comes from. It gives the coding of colors.
        audio: whether to copy the audio of `like`.

    Raises:
        ConfigError: PyAV is missing, or the container cannot hold the audio.
    """
    check_video_file(path)
    options = {} if path.suffix.lower() == ".mkv" else _FAST_START
    with atomic_file(path) as temporary, contextlib.ExitStack() as files:
        container = files.enter_context(pyav().open(str(temporary), "w", options=options))
        writer = VideoWriter(container, timing, like)
        if audio and like:
            source = files.enter_context(open_video(like.path))
            writer.audio = _add_audio(source, container, path, like)
        yield writer
        writer.finish()


class VideoWriter:
    """Encodes frames of one size; see `video_writer`."""

    def __init__(self, container: Any, timing: Timing, like: VideoFile | None) -> None:
        self.audio: _Audio | None = None
        self._container, self._timing, self._like = container, timing, like
        self._colors = like.colors if like else _BT709
        self._stream = container.add_stream("libx264", rate=timing.rate, options=_QUALITY)
        self._stream.codec_context.time_base = timing.time_base
        self._has_form = False

    def write(self, pixels: NDArray[np.uint8], time: int) -> None:
        """Encode a frame [H, W, 3] RGB, shown from `time`, in units of the timing."""
        if not self._has_form:
            self._set_form(*pixels.shape[:2])
        matrix, color_range, *_ = self._colors
        form = {"format": self._stream.pix_fmt, "dst_colorspace": matrix}
        rgb = pyav().VideoFrame.from_ndarray(pixels, format="rgb24")
        frame = rgb.reformat(**form, dst_color_range=color_range)
        frame.pts, frame.time_base = time, self._timing.time_base
        self._container.mux(self._stream.encode(frame))
        if self.audio:
            self.audio.copy(time * self._timing.time_base)

    def finish(self) -> None:
        """Write what the encoder still holds, and the rest of the audio."""
        if self._has_form:
            self._container.mux(self._stream.encode())
        if self.audio:
            self.audio.copy(None)

    def _set_form(self, height: int, width: int) -> None:
        self._has_form = True
        stream, context = self._stream, self._stream.codec_context
        stream.height, stream.width = height, width
        # Chroma of half resolution needs even sides; players know it best.
        stream.pix_fmt = "yuv444p" if height % 2 or width % 2 else "yuv420p"
        context.colorspace, context.color_range, context.color_trc, context.color_primaries = (
            self._colors
        )
        if self._like and (height, width) == (self._like.height, self._like.width):
            context.sample_aspect_ratio = self._like.pixel_aspect


def _add_audio(source: Any, target: Any, path: Path, like: VideoFile) -> "_Audio | None":
    """Add the audio stream of one container to another; None if it has no audio."""
    stream = source.streams.best("audio")
    if stream is None:
        return None
    codec = stream.codec_context.name
    if codec not in target.supported_codecs:
        raise ConfigError(
            f"{path.suffix} cannot hold the audio of {like.path} ({codec}) as it is. Write .mkv, "
            f"or leave the audio out: audio=False (--no-audio)."
        )
    audio = packets(source, stream, like.path)
    return _Audio(audio, target, target.add_stream_from_template(stream), like.start)


class _Audio:
    """The audio of a video, copied packet by packet beside the frames."""

    def __init__(self, packets: Iterator[Any], target: Any, stream: Any, start: Fraction) -> None:
        self._packets, self._target, self._stream = packets, target, stream
        self._start, self._next = start, None  # the packet that is read but not yet due

    def copy(self, end: Fraction | None) -> None:
        """Copy the packets that start before `end` seconds; all that are left for None."""
        while (packet := self._next or next(self._packets, None)) is not None:
            self._next = packet
            if packet.dts is not None:  # else the mark of the end
                if end is not None and packet.dts * packet.time_base - self._start > end:
                    return
                self._mux(packet)
            self._next = None

    def _mux(self, packet: Any) -> None:
        offset = round(self._start / packet.time_base)
        packet.dts -= offset
        packet.pts = None if packet.pts is None else packet.pts - offset
        packet.stream = self._stream
        self._target.mux(packet)
