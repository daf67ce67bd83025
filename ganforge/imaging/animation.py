"""Animations: GIF written by Pillow, MP4 by PyAV (the extra `video`)."""

import importlib
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from ganforge.errors import ConfigError
from ganforge.imaging.grids import check_size, opaque
from ganforge.imaging.save import write_image
from ganforge.io.atomic import atomic_file


def check_animation(path: Path, fps: float) -> None:
    """Refuse an animation that cannot be written, before any frame is generated.

    Raises:
        ConfigError: an unknown ending, no PyAV, or frames that are too short or too long.
    """
    suffix = path.suffix.lower()
    if suffix not in (".png", ".gif", ".mp4"):
        raise ConfigError(
            f"{path} has no ending that says what to write. Use .png (a strip), .gif or .mp4."
        )
    if not 1 <= fps <= 120:
        raise ConfigError(f"fps={fps:g}; use 1 to 120 frames per second.")
    if suffix == ".gif" and fps > 50:
        raise ConfigError(
            f"fps={fps:g}: a GIF shows at most 50 frames per second. Use 50 or fewer, or .mp4."
        )
    if suffix == ".mp4":
        _pyav()


def write_animation(frames: Sequence[Image.Image], path: Path, fps: float, scale: int = 1) -> None:
    """Write frames as GIF or MP4, by the suffix of the path. The file appears when it is whole.

    Transparency is composited over white. A GIF loops; its frames last whole hundredths of a
    second, as near to the frame rate as possible. The frames are of one size; `scale` is an
    integer upscaling factor.

    Raises:
        ConfigError: PyAV is missing, or the frame rate or the size is out of range.
    """
    check_animation(path, fps)
    check_size(frames[0].width * scale, frames[0].height * scale)
    colored = (frame if frame.mode == "L" else opaque(frame) for frame in frames)
    shown = (ImageOps.scale(frame, scale, Image.Resampling.NEAREST) for frame in colored)
    if path.suffix.lower() == ".gif":
        # A GIF counts hundredths of a second; viewers slow down frames shorter than two.
        timing = {"duration": 10 * max(2, round(100 / fps)), "loop": 0}
        write_image(path, next(shown), "GIF", save_all=True, append_images=shown, **timing)
    else:
        with atomic_file(path) as temporary:
            _write_mp4(shown, temporary, Fraction(fps).limit_denominator(1000))


def _write_mp4(frames: Iterator[Image.Image], path: Path, rate: Fraction) -> None:
    av = _pyav()
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "16"})
        stream.pix_fmt = "yuv420p"
        for number, image in enumerate(frames):
            pixels = np.asarray(image.convert("RGB"))
            # Subsampled chroma needs even sides: repeat the last row or column of odd ones.
            odd = ((0, image.height % 2), (0, image.width % 2), (0, 0))
            pixels = np.pad(pixels, odd, mode="edge")
            if number == 0:
                stream.height, stream.width = pixels.shape[:2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())


def _pyav() -> Any:
    try:
        return importlib.import_module("av")
    except ImportError as err:
        raise ConfigError(
            "MP4 files are written by PyAV, which is not installed. pip install 'ganforge[video]', "
            "or write a .gif."
        ) from err
