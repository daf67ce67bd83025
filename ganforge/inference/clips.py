"""Clips to translate, a few frames at a time: from a video, a folder of frames or an iterable."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ganforge.data.keypoints import holds_keypoints, read_poses
from ganforge.data.shards.coordinates import place_points
from ganforge.errors import ConfigError, DataError
from ganforge.imaging.codec import Undecodable
from ganforge.imaging.images import Resize
from ganforge.imaging.pose_layouts import pose_layout
from ganforge.imaging.resize import ImageForm, ResizeMode
from ganforge.imaging.skeletons import draw_poses
from ganforge.imaging.video import Timing, VideoFile
from ganforge.inference.sizes import Sizing
from ganforge.inference.source_images import SourceReader
from ganforge.interfaces.source import Poses
from ganforge.interfaces.spec import ImageSpec

Clip = str | Path | Iterable[Image.Image | Tensor] | Poses
"""A video file, a folder of frames, or the frames: PIL images or tensors [C, H, W]; of a model that
draws poses, a file or folder of keypoints, or poses."""
Rate = Fraction | float | str
DEFAULT_RATE = Fraction(25)
FRAME_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}
_MAX_RATE = 1000
_LEAST_INSIDE = 0.5
"""Share of the joints of a clip that lie inside the frames."""
_FORMS: Mapping[Resize, ResizeMode] = {"crop": "crop", "pad": "fit", "stretch": "stretch"}


@dataclass(frozen=True)
class OpenClip:
    """A clip whose frames are read as they are consumed.

    Attributes:
        name: its name in messages.
        timing: when its frames are shown.
        frames: yields each frame, as `reader` reads it, and its time.
        reader: what makes frames of images.
        num_frames: how many, if that is known.
        file: the video that it is read from.
        stems: file names of its frames without extension; empty if they have none.
        poses: [T, D] what its frames are drawn from; None if they are images.
    """

    name: str
    timing: Timing
    frames: Callable[[], Iterator[tuple[Tensor, int]]]
    reader: SourceReader
    num_frames: int | None = None
    file: VideoFile | None = None
    stems: tuple[str, ...] = ()
    poses: Tensor | None = None


def open_clip(
    video: Clip, reader: SourceReader, sizing: Sizing, fps: Rate | None, skip_bad: bool
) -> OpenClip:
    """Open a clip, whose frames `reader` reads; poses are drawn at the size of `sizing`.

    Raises:
        ConfigError: `fps` is out of range, or given for a video file; PyAV is missing; a video
            file cannot hold label maps or poses; the model does not draw poses.
        DataError: it is not a video, or a folder without images, or poses lie outside the frames.
    """
    if isinstance(video, Poses) or (isinstance(video, str | Path) and holds_keypoints(Path(video))):
        return _poses_clip(video, reader, sizing, _timing(fps))
    if not isinstance(video, str | Path):
        return _frames_clip(video, reader, _timing(fps))
    path = Path(video)
    if path.is_dir():
        return _folder_clip(path, reader, _timing(fps), skip_bad)
    if reader.kind == "pose":
        raise ConfigError(
            f"{path} is a video, but this model draws poses. Find its keypoints with a pose "
            f"estimator, e.g. OpenPose with --write_json, and give their file or folder."
        )
    if fps is not None:
        raise ConfigError(
            f"fps={fps}: {path} has its own frame rate, which is kept. Leave fps out; it is for "
            f"frames that are images."
        )
    if reader.kind == "labels":
        raise ConfigError(
            f"{path} is a video, whose compression changes label ids. Give a folder of label maps, "
            f"a PNG file for each frame."
        )
    file = VideoFile(path)

    def frames() -> Iterator[tuple[Tensor, int]]:
        for frame in file.frames(skip_bad):
            yield reader.read_pixels(frame.pixels), frame.time

    return OpenClip(str(path), file.timing, frames, reader, file.num_frames, file)


def _timing(fps: Rate | None) -> Timing:
    try:
        rate = DEFAULT_RATE if fps is None else Fraction(fps)
    except (ValueError, TypeError, ZeroDivisionError, OverflowError):
        rate = Fraction(0)
    if not 0 < rate <= _MAX_RATE:
        raise ConfigError(
            f"fps={fps} is not a frame rate. Use frames per second up to {_MAX_RATE}, e.g. 25 or "
            f"30000/1001."
        )
    return Timing.constant(rate.limit_denominator(1001))


def _folder_clip(folder: Path, reader: SourceReader, timing: Timing, skip_bad: bool) -> OpenClip:
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in FRAME_SUFFIXES)
    if not paths:
        suffixes = ", ".join(sorted(FRAME_SUFFIXES))
        raise DataError(f"{folder} holds no frames ({suffixes}). Check the path.")

    def frames() -> Iterator[tuple[Tensor, int]]:
        for number, path in enumerate(paths):
            try:
                yield reader.read_file(path), number
            except Undecodable as err:
                if not skip_bad:
                    raise DataError(
                        f"Frame {number}, {path}, {err}. Repair it, or leave damaged frames out: "
                        f"skip_bad=True (--skip-bad)."
                    ) from err

    stems = tuple(path.stem for path in paths)
    for one, other in zip(paths, paths[1:], strict=False):
        if one.stem == other.stem:
            raise DataError(f"{one} and {other} are the same frame twice. Remove one.")
    return OpenClip(str(folder), timing, frames, reader, len(paths), stems=stems)


def _frames_clip(images: Any, reader: SourceReader, timing: Timing) -> OpenClip:
    count = len(images) if hasattr(images, "__len__") else None

    def frames() -> Iterator[tuple[Tensor, int]]:
        for number, image in enumerate(images):
            (img,) = reader.read(image)
            yield img, number

    return OpenClip("the clip", timing, frames, reader, count)


def _poses_clip(
    given: Poses | str | Path, reader: SourceReader, sizing: Sizing, timing: Timing
) -> OpenClip:
    name = "the clip" if isinstance(given, Poses) else str(given)
    if reader.kind != "pose":
        raise ConfigError(f"{name} holds poses, but this model translates images. Give images.")
    height, width = sizing.canvas()
    poses = given if isinstance(given, Poses) else read_poses(Path(given))
    _check_layout(poses, reader.spec, name)
    points = torch.from_numpy(_placed(poses, sizing, name))

    def frames() -> Iterator[tuple[Tensor, int]]:
        for number, row in enumerate(points):
            yield draw_poses(row, height, width), number

    return OpenClip(name, timing, frames, reader, len(points), poses=points)


def _check_layout(poses: Poses, spec: ImageSpec, name: str) -> None:
    size = poses.points.shape[1]
    if spec.pose_size and size != spec.pose_size:
        found, wanted = (pose_layout(numbers) for numbers in (size, spec.pose_size))
        raise DataError(
            f"{name} holds poses of {size} numbers ({found.name if found else 'no known layout'}), "
            f"but the model was trained on {wanted.name if wanted else spec.pose_size}. Find the "
            f"keypoints with an estimator of that layout."
        )


def _placed(poses: Poses, sizing: Sizing, name: str) -> NDArray[np.float32]:
    """Points [T, 3 J] in pixels of the canvas.

    Raises:
        DataError: most of them lie outside of it.
    """
    points, (height, width) = poses.points, sizing.canvas()
    if poses.frame_size is not None:
        form = ImageForm(height, width, 3, 8, _FORMS[sizing.way], (0, 0, 0))
        points = place_points(points, "xyv", form, poses.frame_size)
    joints = points.reshape(-1, 3)
    seen = joints[joints[:, 2] > 0]
    is_inside = (seen[:, :2] >= 0).all(1) & (seen[:, 0] <= width) & (seen[:, 1] <= height)
    if len(seen) and is_inside.mean() < _LEAST_INSIDE:
        raise DataError(
            f"{name}: {len(seen) - is_inside.sum()} of {len(seen)} joints lie outside of the "
            f"frames of {height} x {width} (height x width). Keypoints are in pixels of these "
            f"frames. Fit them by `ganforge data pose-normalize`, or name the size of their frames "
            f"in the file (docs/poses.md)."
        )
    return points.astype(np.float32)


def chunks(clip: OpenClip, length: int) -> Iterator[list[tuple[Tensor, int]]]:
    """The frames of a clip, a few at a time.

    Raises:
        DataError: there are none, or a frame has another size than the first.
    """
    frames, size, start = clip.frames(), None, 0
    while chunk := list(itertools.islice(frames, length)):
        for number, (img, _) in enumerate(chunk, start):
            size = size or img.shape
            if img.shape != size:
                raise DataError(
                    f"Frame {number} of {clip.name} is {img.shape[1]} x {img.shape[2]} (height x "
                    f"width), the first is {size[1]} x {size[2]}. Give frames of one size."
                )
        yield chunk
        start += len(chunk)
    if size is None:
        raise DataError(f"There are no frames in {clip.name}. Give at least one.")
