"""How many images a second a reader process delivers on this machine, and how large they are."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ganforge.config.data import DataConfig
from ganforge.data.loader import SlotLoader
from ganforge.data.shards.index import DatasetIndex
from ganforge.imaging.codec import decode_pixels, encode_pixels
from ganforge.interfaces.spec import ImageSpec

_SECONDS = 0.5
_BATCH = 16
_GRAIN = 4.0
"""Deviation of the grain of a made-up photograph, of 255: its PNG takes about 1.7 bytes a pixel, as
those of FFHQ do."""


@dataclass(frozen=True)
class DataRate:
    """What one reader process does.

    Attributes:
        samples_per_sec: that it reads and decodes.
        bytes_per_sample: that it reads.
        is_measured: on the prepared shards; else on a made-up photograph, stored as PNG.
    """

    samples_per_sec: float
    bytes_per_sample: float
    is_measured: bool


def rate_of_shards(
    config: DataConfig, location: str, index: DatasetIndex, fields: Sequence[str]
) -> DataRate:
    """Read some samples of prepared shards in this process."""
    loader = SlotLoader(
        config.model_copy(update={"workers": 0}),
        location,
        fields=fields,
        seed=0,
        num_slots=1,
        local_slots=range(1),
        micro_batch=_BATCH,
    )
    try:
        batches = iter(loader)
        next(batches)  # opens the shards
        per_sec = _BATCH * _runs_per_sec(lambda: next(batches))
    finally:
        loader.close()
    used = {index.fields[name].stream for name in fields if name in index.fields}
    shards = [shard for stream in used for shard in index.streams[stream]]
    sizes = sum(shard.num_bytes for shard in shards) / sum(shard.num_samples for shard in shards)
    return DataRate(per_sec, sizes * len(used), True)


def rate_of_photographs(config: DataConfig, spec: ImageSpec, num_images: int) -> DataRate:
    """Decode a made-up photograph of the stored size; a sample has `num_images` of them."""
    height, width = config.stored_size or (spec.height, spec.width)
    pixels = photograph(height, width, spec.channels)
    data = encode_pixels(pixels)
    per_sec = _runs_per_sec(lambda: decode_pixels(data, spec.channels))
    return DataRate(per_sec / num_images, len(data) * num_images, False)


def _runs_per_sec(action: Callable[[], object]) -> float:
    # The time of a core, whatever else the machine does.
    count, start = 0, time.process_time()
    while (elapsed := time.process_time() - start) < _SECONDS or not count:
        action()
        count += 1
    return count / elapsed


def photograph(height: int, width: int, channels: int) -> NDArray[np.uint8]:
    """Smooth shapes with grain: [H, W, channels] uint8."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:height, :width] / max(height, width)
    shade = 127 + 60 * np.sin(9 * rows + 3 * columns) + 40 * np.cos(17 * columns)
    grain = rng.normal(0, _GRAIN, (height, width, channels))
    pixels: NDArray[np.uint8] = np.clip(shade[..., None] + grain, 0, 255).astype(np.uint8)
    return pixels
