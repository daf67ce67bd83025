"""Animations: GIF written by Pillow, MP4 by PyAV (the extra `video`)."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from ganforge.errors import ConfigError
from ganforge.imaging.grids import check_size, opaque
from ganforge.imaging.save import write_image
from ganforge.imaging.video import Timing, pyav
from ganforge.imaging.video_writer import video_writer


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
        pyav()


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
        _write_mp4(shown, path, Fraction(fps).limit_denominator(1000))


def _write_mp4(frames: Iterator[Image.Image], path: Path, rate: Fraction) -> None:
    with video_writer(path, Timing.constant(rate)) as writer:
        for number, image in enumerate(frames):
            # Every player shows even sides: repeat the last row or column of odd ones.
            odd = ((0, image.height % 2), (0, image.width % 2), (0, 0))
            writer.write(np.pad(np.asarray(image.convert("RGB")), odd, mode="edge"), number)
