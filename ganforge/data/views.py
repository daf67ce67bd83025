"""How samples are shown: mirrored, cropped, and which frames of their clips.

A view is drawn once for a sample and applies to all its fields and frames. Training draws it from
the position in the data order; pictures and metrics see the middle of each sample, unmirrored, and
the first frames.

Legend: n samples of a batch, H x W the size of stored images, h x w the size of crops.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ganforge.config.base import MAX_KIMG
from ganforge.config.data import ClipConfig, DataConfig
from ganforge.config.schedules import Schedule, value_at
from ganforge.data.order import Draw
from ganforge.data.shards.index import PIXEL_KINDS, FieldSchema
from ganforge.errors import DataError
from ganforge.io.hashing import hash_key

Size = tuple[int, int]
"""(height, width) in pixels."""
Hashes = NDArray[np.uint64]
END_NIMG = int(1000 * MAX_KIMG)
"""Training progress after which no schedule changes, in images."""


@dataclass(frozen=True)
class Window:
    """Frames to read of a clip: `num_frames`, every `stride`-th."""

    num_frames: int
    stride: int = 1

    @property
    def span(self) -> int:
        """Frames from the first to the last, both included."""
        return (self.num_frames - 1) * self.stride + 1

    def frames(self, count: int, start: float = 0.0) -> range:
        """The frames to read of a clip of `count`; `start` in [0, 1) selects the first one."""
        first = int(start * (count - self.span + 1))
        return range(first, first + self.span, self.stride)


@dataclass(frozen=True)
class Crops:
    """The region of each sample that is shown, and the size to which it is scaled.

    Attributes:
        regions: [n, 4] int64: top, left, height and width, in pixels of the stored image.
        size: (h, w).
    """

    regions: NDArray[np.int64]
    size: Size


@dataclass(frozen=True)
class Views:
    """How each sample of a batch is shown.

    Attributes:
        flips: [n] bool: which samples are mirrored; None for none.
        crops: None for whole images.
        window: frames to read of each clip; None for as many as the shortest clip has.
        starts: [n] in [0, 1), which select the first frame; None for the start of the clip.
        captions: [n] hashes that choose among several captions; None for the first.
        seeds: [n] seeds of derived sources.
    """

    flips: NDArray[np.bool_] | None = None
    crops: Crops | None = None
    window: Window | None = None
    starts: NDArray[np.float64] | None = None
    captions: Hashes | None = None
    seeds: Hashes | None = None

    def is_mirrored(self, place: int) -> bool:
        """Whether a sample is mirrored."""
        return self.flips is not None and bool(self.flips[place])

    def frames(self, place: int, count: int, default: Window) -> range:
        """The frames to read of a sample's clip of `count` frames; `default` without a window."""
        start = 0.0 if self.starts is None else float(self.starts[place])
        return (self.window or default).frames(count, start)

    def choose(self, place: int, count: int) -> int:
        """Which of a sample's `count` captions to read."""
        return 0 if self.captions is None else int(self.captions[place]) % count


def random_views(
    config: DataConfig, stored: Size, nimg: int, draw: Callable[[Draw], Hashes]
) -> Views:
    """The views of training, from the hashes that `draw` gives for each sample of the batch.

    Args:
        config: which of them are random, and how.
        stored: (H, W).
        nimg: training progress in images, for schedules.
        draw: [n] hashes of one kind.
    """
    clip = config.clip
    return Views(
        flips=(draw(Draw.FLIP) >> np.uint64(63)).astype(np.bool_) if config.flip else None,
        crops=_random_crops(config, stored, draw),
        window=None if clip is None else window_at(clip, nimg),
        starts=None if clip is None else _uniform(draw(Draw.CLIP_START)),
        captions=draw(Draw.CAPTION),
        seeds=None if config.derive is None else draw(Draw.DERIVATION),
    )


def fixed_views(config: DataConfig, stored: Size, numbers: NDArray[np.int64]) -> Views:
    """Views without randomness: the middle of the image, and the first frames.

    The seed of a derived source depends on the number of its sample alone.

    Args:
        config: gives the size of crops, and the window at the end of training.
        stored: (H, W).
        numbers: [n] of the samples, in index order.
    """
    size, crops = shown_size(config, stored), None
    if size != stored:
        middle = [(side - crop) // 2 for side, crop in zip(stored, size, strict=True)]
        crops = Crops(np.tile(np.array([*middle, *size]), (len(numbers), 1)), size)
    seeds = None
    if config.derive is not None:
        keys = [hash_key(Draw.DERIVATION, number) for number in numbers.tolist()]
        seeds = np.array(keys, dtype=np.uint64)
    window = None if config.clip is None else window_at(config.clip, END_NIMG)
    return Views(crops=crops, window=window, seeds=seeds)


def shown_size(config: DataConfig, stored: Size) -> Size:
    """(h, w) of images as they are shown, from the size (H, W) of stored ones."""
    return config.height_width or stored if config.crop is not None else stored


def window_at(clip: ClipConfig, nimg: int) -> Window:
    """The window of clips after `nimg` images; schedules are rounded to whole frames."""
    values = (max(1, round(value_at(value, nimg))) for value in (clip.num_frames, clip.stride))
    return Window(*values)


@functools.cache
def longest_span(clip: ClipConfig) -> int:
    """The frames that a clip must have for all windows of the training."""
    moving = [v for v in (clip.num_frames, clip.stride) if isinstance(v, Schedule)]
    end = 1000 * max((schedule.over_kimg for schedule in moving), default=0)
    # Either may rise while the other falls, so that the longest span may be midway.
    steps = 1000 if moving else 1
    return max(window_at(clip, round(end * step / steps)).span for step in range(steps + 1))


def check_views(
    config: DataConfig, fields: Mapping[str, FieldSchema], stored: Size, location: str
) -> None:
    """Refuse fields from which `data.crop` or `data.clip` cannot be cut.

    Args:
        config: how the data are read.
        fields: the fields to read, by name.
        stored: (H, W) of the images.
        location: of the data set, for messages.

    Raises:
        DataError: an image is smaller than the crops or unlike the others, or a clip too short.
    """
    size = shown_size(config, stored)
    span = None if config.clip is None else longest_span(config.clip)
    for name, schema in fields.items():
        has = schema.height, schema.width
        if config.crop is not None and schema.kind in PIXEL_KINDS:
            if has != stored or has[0] < size[0] or has[1] < size[1]:
                raise DataError(
                    f"'{name}' at {location} is stored at {has[0]}x{has[1]}, and cannot be cropped "
                    f"to {size[0]}x{size[1]} with the other fields, which are stored at "
                    f"{stored[0]}x{stored[1]}. Set data.crop.from to one size for all fields, and "
                    f"prepare the data again."
                )
        if span is not None and schema.is_clip and schema.num_frames < span:
            raise DataError(
                f"The windows of data.clip span up to {span} frames, but the shortest clip of "
                f"'{name}' at {location} has {schema.num_frames}. Lower data.clip.num_frames or "
                f"data.clip.stride, or remove short clips and prepare the data again."
            )


def _uniform(hashes: Hashes) -> NDArray[np.float64]:
    """Numbers in [0, 1) from the upper 53 bits of hashes: [n]."""
    return (hashes >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _random_crops(config: DataConfig, stored: Size, draw: Callable[[Draw], Hashes]) -> Crops | None:
    size = config.height_width
    if config.crop is None or size is None:
        return None
    low, high = config.crop.scale
    scale = low + (high - low) * _uniform(draw(Draw.CROP_SCALE))
    sides = [np.rint(side / scale).clip(1).astype(np.int64) for side in size]
    corners = [
        (_uniform(draw(what)) * (whole - side + 1)).astype(np.int64)
        for what, whole, side in zip((Draw.CROP_TOP, Draw.CROP_LEFT), stored, sides, strict=True)
    ]
    return Crops(np.stack([*corners, *sides], axis=1), size)
