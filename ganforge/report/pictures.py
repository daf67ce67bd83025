"""Pictures of a run, small enough to be part of a page."""

import base64
import functools
import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from PIL import Image, ImageSequence

from ganforge.report.run_folder import nimg_of

log = logging.getLogger(__name__)
T = TypeVar("T")
MAX_PICTURES = 200
"""Of the training; of more, evenly spaced ones are shown."""
_MAX_SIDE = 1024
_MAX_SIDE_IN_TIMELINE = 640
_MAX_ANIMATED_SIDE = 640
_MAX_FRAMES = 64
_SMALL_PIXELS = 2**18
_SHARP, _PLAIN = 92, 75
"""Qualities: artifacts in small pictures would be seen once they are enlarged."""
_MAX_PIXELS = 2**28
_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif")


@dataclass(frozen=True)
class Picture:
    """A picture as a data URI.

    Attributes:
        caption: what it shows.
        uri: a data URI.
        width: of the file, in pixels; so is `height`.
        kimg: progress of the run, for pictures of the training.
    """

    caption: str
    uri: str
    width: int
    height: int
    kimg: float | None = None


def timeline(run: Path) -> list[Picture]:
    """The sample pictures of the training, oldest first."""
    found = [(nimg_of(path), path) for path in sorted((run / "samples").glob("nimg-*.png"))]
    placed = [(nimg, path) for nimg, path in found if nimg is not None]
    # The last one is what people look at; the others are many.
    sides = {placed[-1][1]: _MAX_SIDE} if placed else {}
    shown = [
        (_read(path, side=sides.get(path, _MAX_SIDE_IN_TIMELINE)), nimg / 1000)
        for nimg, path in _spread(placed, MAX_PICTURES)
    ]
    return [
        Picture(f"{kimg:g} kimg", made.uri, made.width, made.height, kimg)
        for made, kimg in shown
        if made is not None
    ]


def real(run: Path) -> Picture | None:
    """Real images in the layout of the sample pictures."""
    return _read(run / "samples" / "real.png", "Real images")


def others(run: Path) -> list[Picture]:
    """What else the folder holds: the newest clip, the export's picture, what users drew there."""
    clips = sorted((run / "samples").glob("nimg-*.gif"))[-1:]
    drawn = sorted(path for path in run.glob("*") if path.suffix.lower() in _SUFFIXES)
    more = [
        *((path, f"Newest clip, at {(nimg_of(path) or 0) / 1000:g} kimg") for path in clips),
        (run / "export" / "samples.png", "Samples of the exported model"),
        *((path, path.stem.replace("_", " ").replace("-", " ").capitalize()) for path in drawn),
    ]
    return [made for path, caption in more if (made := _read(path, caption)) is not None]


def _spread(items: Sequence[T], limit: int) -> Sequence[T]:
    """At most `limit` items, evenly spaced, with the first and the last."""
    if len(items) <= limit:
        return items
    return [items[round(number * (len(items) - 1) / (limit - 1))] for number in range(limit)]


def _read(path: Path, caption: str = "", side: int = _MAX_SIDE) -> Picture | None:
    """A picture of a file; None without one. A file that cannot be read is named in the log."""
    try:
        stat = path.stat()
        uri, width, height = _encoded(path, stat.st_mtime_ns, stat.st_size, side)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as err:
        log.warning("%s is left out of the report: %s", path, err)
        return None
    return Picture(caption, uri, width, height)


# A page that is refreshed while a run goes on shows mostly the same pictures.
@functools.lru_cache(maxsize=4 * MAX_PICTURES)
def _encoded(path: Path, mtime_ns: int, num_bytes: int, side: int) -> tuple[str, int, int]:
    with Image.open(path) as image:
        width, height = image.size
        if width * height > _MAX_PIXELS:
            raise ValueError(f"{width} x {height} pixels are too many")
        is_animated = getattr(image, "n_frames", 1) > 1
        kind, content = _animation(image) if is_animated else _still(image, side)
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}", width, height


def _still(image: Image.Image, side: int) -> tuple[str, bytes]:
    """Small pictures as WebP, in which they stay sharp; large ones as JPEG, ten times as fast."""
    buffer = io.BytesIO()
    shown = _fitted(image, side)
    if shown.width * shown.height <= _SMALL_PIXELS or shown.mode == "RGBA":
        shown.save(buffer, "WEBP", quality=_SHARP, method=2)
        return "webp", buffer.getvalue()
    shown.save(buffer, "JPEG", quality=_PLAIN)
    return "jpeg", buffer.getvalue()


def _animation(image: Image.Image) -> tuple[str, bytes]:
    buffer = io.BytesIO()
    duration = image.info.get("duration", 100)
    frames = [
        _fitted(frame, _MAX_ANIMATED_SIDE)
        for _, frame in zip(range(_MAX_FRAMES), ImageSequence.Iterator(image), strict=False)
    ]
    options = {"append_images": frames[1:], "duration": duration, "loop": 0, "method": 0}
    frames[0].save(buffer, "WEBP", save_all=True, quality=_PLAIN, **options)
    return "webp", buffer.getvalue()


def _fitted(image: Image.Image, side: int) -> Image.Image:
    """The picture in 8 bits, at most `side` pixels wide and high."""
    shown = image.convert(
        "RGBA" if "A" in image.getbands() or "transparency" in image.info else "RGB"
    )
    shown.thumbnail((side, side), Image.Resampling.BOX)
    return shown
