"""Animations: GIF written by Pillow, MP4 by PyAV (the extra `video`)."""

import importlib
import io
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ganforge.errors import ConfigError
from ganforge.imaging.grids import check_size, enlarge, opaque
from ganforge.io.atomic import atomic_file

SUFFIXES = (".png", ".gif", ".mp4")
_GIF_TICK_MS = 10
"""A GIF counts time in hundredths of a second; viewers slow down shorter frames than two."""


def check_animation(path: Path, fps: float) -> None:
    """Refuse an animation that cannot be written, before any frame is generated.

    Raises:
        ConfigError: an unknown ending, no PyAV, or frames that are too short or too long.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(
            f"{path} has no ending that says what to write. Use .png (a strip), .gif or .mp4."
        )
    if not 1 <= fps <= 120:
        raise ConfigError(f"fps={fps:g}; use 1 to 120 frames per second.")
    if path.suffix.lower() == ".gif" and fps > 50:
        raise ConfigError(
            f"fps={fps:g}: a GIF shows at most 50 frames per second. Use 50 or fewer, or .mp4."
        )
    if path.suffix.lower() == ".mp4":
        _pyav()


def write_animation(frames: Sequence[Image.Image], path: Path, fps: float, scale: int = 1) -> None:
    """Write frames as GIF or MP4, by the suffix of the path. The file appears when it is whole.

    Transparency is composited over white. A GIF loops; its frames last whole hundredths of a
    second, as near to the frame rate as possible.

    Args:
        frames: images of one size, at least one.
        path: ends in .gif or .mp4; its folder is created.
        fps: frames per second.
        scale: integer upscaling factor of each frame.

    Raises:
        ConfigError: PyAV is missing, or the frame rate or the size is out of range.
    """
    check_animation(path, fps)
    check_size(frames[0].width * scale, frames[0].height * scale)
    shown = (_shown(frame, scale) for frame in frames)
    with atomic_file(path) as temporary:
        if path.suffix.lower() == ".gif":
            first = next(shown)
            duration = max(2, round(100 / fps)) * _GIF_TICK_MS
            buffer = io.BytesIO()
            first.save(buffer, "GIF", save_all=True, append_images=shown, duration=duration, loop=0)
            temporary.write_bytes(buffer.getvalue())
        else:
            _write_mp4(shown, temporary, Fraction(fps).limit_denominator(1000))


def _shown(frame: Image.Image, scale: int) -> Image.Image:
    return enlarge(frame if frame.mode == "L" else opaque(frame), scale)


def _write_mp4(frames: Iterator[Image.Image], path: Path, rate: Fraction) -> None:
    av = _pyav()
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "16"})
        stream.pix_fmt = "yuv420p"
        for number, image in enumerate(frames):
            pixels = _even(np.asarray(image.convert("RGB")))
            if number == 0:
                stream.height, stream.width = pixels.shape[:2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())


def _even(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Repeat the last row or column of odd sides: subsampled chroma needs even sides."""
    height, width = pixels.shape[:2]
    return np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def _pyav() -> Any:
    try:
        return importlib.import_module("av")
    except ImportError as err:
        raise ConfigError(
            "MP4 files are written by PyAV, which is not installed. pip install 'ganforge[video]', "
            "or write a .gif."
        ) from err
