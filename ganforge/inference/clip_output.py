"""Writes translated clips: a video or a folder of frames, and a comparison with the source."""

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganforge.errors import ConfigError
from ganforge.imaging.images import convert_channels, to_pixels
from ganforge.imaging.save import check_folder, write_pixels
from ganforge.imaging.showable import colored, showable
from ganforge.imaging.video_writer import check_video_file, video_writer
from ganforge.inference.clips import OpenClip
from ganforge.inference.source_images import SourceReader
from ganforge.io.atomic import atomic_folder

Progress = Callable[[int, int | None], None]
"""Called with the number of frames that are done, and that of all if it is known."""


class TranslatedFrame(NamedTuple):
    """A frame of a translated clip: images [C, H, W] of one size, and its time."""

    img: Tensor
    source: Tensor
    time: int


@dataclass(frozen=True)
class VideoSummary:
    """The result of `translate_video`: the file or folder that it wrote."""

    path: Path
    num_frames: int
    height: int
    width: int
    fps: Fraction
    """Frames per second; the mean where the rate varies."""
    has_audio: bool

    def __str__(self) -> str:
        audio = ", with audio" if self.has_audio else ""
        rate = f"{float(self.fps):.6g} frames per second"
        return f"{self.path}: {self.num_frames} frames, {self.height} x {self.width}, {rate}{audio}"


def check_outputs(out: Path | None, compare: Path | None, clip: OpenClip) -> None:
    """Refuse a video or folder that cannot be written, before any frame is translated.

    Args:
        out: of the translation; None if it is not written.
        compare: video of sources and outputs side by side, if one is wanted.
        clip: what is translated.

    Raises:
        ConfigError: an ending that is not a video's, a folder with files in it, or the clip itself;
            a comparison without `out`, or in the same file.
    """
    if compare is not None:
        _check_comparison(compare, out)
        _check_output(compare, clip)
    if out is not None:
        _check_output(out, clip)


def _check_comparison(compare: Path, out: Path | None) -> None:
    if out is None:
        raise ConfigError(f"compare={compare} is written beside `out`. Give out too.")
    if not compare.suffix:
        raise ConfigError(f"The comparison {compare} is a video. Give it a name such as both.mp4.")
    if compare.resolve() == out.resolve():
        raise ConfigError(f"{compare} cannot be the output and the comparison. Choose two names.")


def _check_output(out: Path, clip: OpenClip) -> None:
    if out.suffix:
        check_video_file(out)
        check_folder(out.parent)
        if clip.file and out.exists() and out.samefile(clip.file.path):
            raise ConfigError(f"{out} is the video that is translated. Choose another name.")
        return
    check_folder(out)
    if out.is_dir() and any(out.iterdir()):
        raise ConfigError(
            f"{out} is not empty. Give a new folder for the frames, or a file such as "
            f"{out}.mp4 for a video."
        )


def save_clip(
    frames: Iterable[TranslatedFrame],
    out: Path,
    clip: OpenClip,
    *,
    audio: bool,
    bit_depth: int,
    progress: Progress,
    compare: Path | None = None,
) -> VideoSummary:
    """Write translated frames as a video, or as a folder of PNG files, or not at all.

    `compare` is a second video of sources and translations side by side.
    """
    count, shape = 0, torch.Size()
    with contextlib.ExitStack() as stack:
        write, has_audio = stack.enter_context(_writer(out, clip, audio, bit_depth))
        both = None
        if compare is not None:
            both, _ = stack.enter_context(_writer(compare, clip, audio, 8))
        for frame in frames:
            write(frame.img, frame.time)
            if both is not None:
                both(_side_by_side(frame, clip.reader), frame.time)
            count, shape = count + 1, frame.img.shape
            progress(count, clip.num_frames)
    return VideoSummary(out, count, shape[1], shape[2], clip.timing.rate, has_audio)


@contextlib.contextmanager
def _writer(
    out: Path, clip: OpenClip, audio: bool, bit_depth: int
) -> Iterator[tuple[Callable[[Tensor, int], None], bool]]:
    """A function that writes a frame and its time, and whether audio is copied too."""
    if out.suffix:
        with video_writer(out, clip.timing, clip.file, audio) as writer:
            yield lambda img, time: writer.write(_rgb(img), time), writer.audio is not None
        return
    numbers = itertools.count()
    with atomic_folder(out, replace=False) as folder:

        def write(img: Tensor, time: int) -> None:
            name = clip.stems[time] if clip.stems else f"{next(numbers):06d}"
            write_pixels(folder / f"{name}.png", to_pixels(img[None], bit_depth)[0])

        yield write, False


def _side_by_side(frame: TranslatedFrame, reader: SourceReader) -> Tensor:
    """Source and translation: [3, H, 2 W]."""
    source = colored(frame.source) if reader.kind == "labels" else showable(frame.source)
    shown = [convert_channels(img[None].cpu(), 3)[0] for img in (source, showable(frame.img))]
    return torch.cat(shown, dim=2)


def _rgb(img: Tensor) -> NDArray[np.uint8]:
    pixels: NDArray[np.uint8] = to_pixels(convert_channels(img[None], 3))[0]
    return pixels
