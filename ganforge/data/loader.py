"""Readers for training and metrics: batches by slot, and the first images of a data set."""

import atexit
import logging
import weakref
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from ganforge.config.models import DataConfig
from ganforge.data.order import StreamOrder
from ganforge.data.reader_processes import (
    CHECK_EVERY_SEC,
    as_data_error,
    check_temporary_folder,
    ignore_signals,
    num_readers,
    share,
    wait_for,
)
from ganforge.data.shards.index import load_index
from ganforge.data.shards.pixel_reader import WHITE_16
from ganforge.data.shards.reader import FieldValues, SampleReader, check_shards_present
from ganforge.data.shards.shard_cache import warn_of_small_cache
from ganforge.data.views import Size, Views, fixed_views, random_views, shown_size
from ganforge.errors import DataError, GanforgeError

logger = logging.getLogger(__name__)
SlotBatch = dict[str, Any]
"""Tensors on the CPU by field name; captions are a list of strings."""


@dataclass
class _SlotResult:
    """The result of a worker. Errors are values, because torch would bury them in a traceback."""

    values: FieldValues
    bad: list[str]
    error: GanforgeError | None = None

    def pin_memory(self) -> "_SlotResult":
        """Called by the DataLoader's pinning thread."""
        values = {
            name: value.pin_memory() if isinstance(value, Tensor) else value
            for name, value in self.values.items()
        }
        return _SlotResult(values, self.bad, self.error)


@dataclass(eq=False)
class _SlotDataset(Dataset[_SlotResult]):
    """Map-style: (step, slot) -> one slot's share of that step's batch."""

    reader: SampleReader
    fields: dict[str, list[str]]
    orders: dict[str, StreamOrder]
    micro_batch: int
    randomize: bool

    def __getitem__(self, place: tuple[int, int]) -> _SlotResult:
        step, slot = place
        values: FieldValues = {}
        bad: list[str] = []
        try:
            for stream, fields in self.fields.items():
                places = self.orders[stream].locate(slot, step * self.micro_batch, self.micro_batch)
                views = self._views(stream, step, slot, places)
                more, faults = self.reader.batch(stream, places, fields, views)
                values |= more
                bad += faults
            share(values)
        except (GanforgeError, OSError) as err:
            return _SlotResult({}, bad, as_data_error(err))
        return _SlotResult(values, bad)

    def _views(self, stream: str, step: int, slot: int, places: NDArray[np.int64]) -> Views:
        order, count = self.orders[stream], self.micro_batch
        config, stored = self.reader.config, self.reader.stored_size
        if not self.randomize:
            return fixed_views(config, stored, order.numbers(places))
        first = step * count
        # All slots together have shown this many images before the step.
        nimg = first * order.num_lanes
        return random_views(config, stored, nimg, lambda what: order.draw(what, slot, first, count))


class _Steps(Sampler[tuple[int, int]]):
    """Endless (step, slot) pairs from a step on."""

    def __init__(self, start_step: int, slots: range) -> None:
        self.start_step = start_step
        self.slots = slots

    def __iter__(self) -> Iterator[tuple[int, int]]:
        step = self.start_step
        while True:
            for slot in self.slots:
                yield step, slot
            step += 1


_in_use: "weakref.WeakSet[SlotLoader]" = weakref.WeakSet()


@atexit.register
def _stop_workers() -> None:
    """Stop the remaining workers when Python exits: it would wait for them, as they ignore SIGTERM.

    Registered after multiprocessing's own clean-up, hence called before it.
    """
    for loader in list(_in_use):
        loader.close()


def _same(value: Any) -> Any:
    return value


class SlotLoader:
    """Yields one dict of CPU tensors per local slot, step after step.

    The content of slot s at step t depends on (data, seed, num_slots, micro_batch, s, t) alone, not
    on ranks, workers or where the run began.

    By kind: images uint8 [n, C, H, W] (int32, 0 to 65535, for 16-bit data), label maps [n, 1, H, W]
    of ids, classes int64 [n], attributes, text and vectors float32 [n, D], captions a list of n
    str. Fields that are clips have an axis of frames: [n, T, C, H, W] and [n, T, D].
    """

    def __init__(
        self,
        config: DataConfig,
        location: str,
        *,
        fields: Sequence[str],
        seed: int,
        num_slots: int,
        local_slots: range,
        micro_batch: int,
        start_step: int = 0,
        pin_memory: bool = False,
        randomize: bool = True,
        is_stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        """Open a data set.

        Args:
            config: how it is read: workers, flip, crop, clip, derive, shuffle_window, ...
            location: folder or URL with index.json.
            fields: names of the fields to read.
            seed: fixes the order.
            num_slots: slots of the whole run.
            local_slots: those that this rank serves.
            micro_batch: samples per slot and step.
            start_step: the first step to yield.
            pin_memory: for faster copies to a GPU.
            randomize: flip, crop and cut clips at random; else show the middle of each sample,
                not mirrored, and the first frames.
            is_stopping: whether to give up a wait for readers that give no data.

        Raises:
            DataError: the index, a shard or a field is missing, there is too little data, or
                images or clips are smaller than their crops or windows.
        """
        self.index = load_index(location)
        check_shards_present(location, self.index)
        if local_slots.start == 0:  # on rank 0
            warn_of_small_cache(config, location, self.index)
        self._reader = SampleReader(config, location, self.index)
        schemas = self._reader.schemas(fields)
        by_stream: dict[str, list[str]] = {}
        for name, schema in schemas.items():
            by_stream.setdefault(schema.stream, []).append(name)
        self._config = config
        self._location = location
        self._workers = num_readers(config.workers)
        orders = {stream: self._order(stream, num_slots, seed) for stream in by_stream}
        self._dataset = _SlotDataset(self._reader, by_stream, orders, micro_batch, randomize)
        self._local_slots = local_slots
        self._start_step = start_step
        self._pin_memory = pin_memory
        self._is_stopping = is_stopping
        self._bad: set[str] = set()
        # Weak, so that workers end with their iterator when the caller drops it.
        self._running: weakref.WeakSet[Generator[list[SlotBatch], None, None]] = weakref.WeakSet()

    def _order(self, stream: str, num_slots: int, seed: int) -> StreamOrder:
        sizes = [shard.num_samples for shard in self.index.streams[stream]]
        if sum(sizes) < num_slots:
            raise DataError(
                f"The data set at {self._location} has {sum(sizes)} samples in stream '{stream}', "
                f"fewer than the {num_slots} slots of this run. Use at most "
                f"train.slots={sum(sizes)}, or more data."
            )
        return StreamOrder(sizes, num_slots, self._config.shuffle_window, seed, stream)

    def __iter__(self) -> Iterator[list[SlotBatch]]:
        """Endless, from start_step on; element k of each item belongs to local_slots[k]."""
        steps = self._steps()
        self._running.add(steps)
        _in_use.add(self)
        return steps

    def _steps(self) -> Generator[list[SlotBatch], None, None]:
        workers = self._workers
        if workers:
            check_temporary_folder()
        loader = DataLoader(
            self._dataset,
            batch_size=None,
            sampler=_Steps(self._start_step, self._local_slots),
            num_workers=workers,
            # Enough for one step ahead of the one in use, whatever the number of slots.
            prefetch_factor=max(2, -(-2 * len(self._local_slots) // workers)) if workers else None,
            collate_fn=_same,
            worker_init_fn=ignore_signals,
            timeout=CHECK_EVERY_SEC if workers else 0,
            pin_memory=self._pin_memory,
            # Without its own generator it would draw from, and so change, the global one.
            generator=torch.Generator(),
        )
        results = iter(loader)
        try:
            while True:
                yield [self._checked(self._next(results)) for _ in self._local_slots]
        finally:
            # An error's traceback would keep the iterator, and with it the workers, alive.
            del results

    def _next(self, results: Iterator[_SlotResult]) -> _SlotResult:
        return wait_for(results, self._location, self._workers, self._is_stopping)

    def _checked(self, result: _SlotResult) -> SlotBatch:
        if result.error is not None:
            raise result.error
        for message in result.bad:
            self._count_bad(message)
        return result.values

    def _count_bad(self, message: str) -> None:
        if message in self._bad:
            return
        self._bad.add(message)
        logger.warning("Skipped bad sample %d: %s", len(self._bad), message)
        if len(self._bad) > self._config.max_bad_samples:
            raise DataError(
                f"More than data.max_bad_samples={self._config.max_bad_samples} samples are bad; "
                f"the last: {message}. Run `ganforge data verify {self._location}`."
            )

    @property
    def num_bad_samples(self) -> int:
        """Number of different samples that this rank has skipped."""
        return len(self._bad)

    def close(self) -> None:
        """Stop the workers and close all files."""
        for steps in list(self._running):
            steps.close()
        self._reader.close()


class RealImages(Dataset[Tensor]):
    """The first samples of a data set in index order, for metrics: uint8 [C, H, W].

    Shards are shuffled when written, so the first n are a fair sample of the data set. Nothing is
    random: the middle of each image is shown, not mirrored, and the first frames of a clip. The
    seed of a derived source depends on the number of its sample.
    """

    def __init__(
        self,
        config: DataConfig,
        location: str,
        *,
        num_samples: int | None = None,
        field: str = "image",
    ) -> None:
        """Open a data set.

        Args:
            config: how it is read: crop, clip, derive, bad samples, cache. `flip` is not applied.
            location: folder or URL with index.json.
            num_samples: how many; all when omitted.
            field: the image field: image, or target of a translation.

        Raises:
            DataError: the index, a shard or the field is missing, or there is too little data.
        """
        self.index = load_index(location)
        check_shards_present(location, self.index)
        self._reader = SampleReader(config, location, self.index)
        self.field = field
        self.stream = self._reader.schemas([field])[field].stream
        available = self.index.num_samples(self.stream)
        if num_samples is not None and num_samples > available:
            raise DataError(
                f"{num_samples} real images are needed, but the data set at {location} has "
                f"{available}. Set evaluate.num_real to at most {available}."
            )
        self._count = available if num_samples is None else num_samples
        sizes = [shard.num_samples for shard in self.index.streams[self.stream]]
        self._ends = np.cumsum(sizes)

    @property
    def size(self) -> Size:
        """(H, W) of the images, after the crop."""
        schema = self._reader.fields.schemas[self.field]
        return shown_size(self._reader.config, (schema.height, schema.width))

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int) -> Tensor:
        if not 0 <= number < self._count:
            raise IndexError(number)
        return self.batch(range(number, number + 1))[0]

    def batch(self, numbers: Sequence[int]) -> Tensor:
        """Several images: uint8 [n, C, H, W]."""
        value = self.samples(numbers, [self.field])[self.field]
        kind = self._reader.schemas([self.field])[self.field].kind
        return in_8_bits(value) if kind == "image" else value

    def samples(self, numbers: Sequence[int], fields: Sequence[str]) -> dict[str, Tensor]:
        """Fields of the same samples by name, as a `SlotLoader` yields them.

        Images of 16 bits are int32 with white at 65535.

        Raises:
            DataError: the stream of these images has no such field, or it holds text.
        """
        self._reader.schemas(fields)  # refuses what is not there
        chosen = np.asarray(numbers, dtype=np.int64)
        shard = np.searchsorted(self._ends, chosen, side="right")
        begin = np.concatenate([[0], self._ends])[shard]
        places = np.stack([shard, chosen - begin], axis=1)
        views = fixed_views(self._reader.config, self._reader.stored_size, chosen)
        values, bad = self._reader.batch(self.stream, places, fields, views)
        for message in bad:
            logger.warning("A neighbor stands in for a bad sample: %s", message)
        return {name: _tensor(name, value) for name, value in values.items()}

    def close(self) -> None:
        """Close all files."""
        self._reader.close()


def in_8_bits(img: Tensor) -> Tensor:
    """Images from `RealImages.samples` as uint8."""
    if img.dtype == torch.uint8:
        return img
    return (img.float() * (255 / WHITE_16)).round_().to(torch.uint8)


def _tensor(name: str, value: Tensor | list[str]) -> Tensor:
    if not isinstance(value, Tensor):
        raise DataError(f"The field '{name}' holds text, not images. Choose an image field.")
    return value
