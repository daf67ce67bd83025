"""Readers for training and metrics: batches by slot, and the first images of a data set."""

import atexit
import logging
import signal
import weakref
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from ganforge.config.models import DataConfig
from ganforge.data.order import StreamOrder
from ganforge.data.shards.field_readers import WHITE_16
from ganforge.data.shards.index import PIXEL_KINDS, load_index
from ganforge.data.shards.reader import (
    FieldValues,
    SampleReader,
    check_fields,
    check_shards_present,
)
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

    def __getitem__(self, place: tuple[int, int]) -> _SlotResult:
        step, slot = place
        values: FieldValues = {}
        bad: list[str] = []
        first, count = step * self.micro_batch, self.micro_batch
        try:
            for stream, fields in self.fields.items():
                order = self.orders[stream]
                flips = order.flips(slot, first, count) if self.reader.config.flip else None
                places = order.locate(slot, first, count)
                captions = order.captions(slot, first, count)
                more, faults = self.reader.batch(stream, places, fields, flips, captions)
                values |= more
                bad += faults
        except GanforgeError as err:
            return _SlotResult({}, bad, err)
        return _SlotResult(values, bad)


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


def _leave_signals_to_the_run(worker: int) -> None:
    """Ignore the signals that stop a run, which a terminal or Slurm sends to workers too.

    The run needs their data until its checkpoint is written; they end with it.
    """
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


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

    Fields: image, source, target uint8 [n, C, H, W] (int32, 0 to 65535, for 16-bit data), frames
    [n, T, C, H, W], label int64 [n], attributes and text float32 [n, D], caption list of n str.
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
    ) -> None:
        """Open a data set.

        Args:
            config: how it is read: workers, flip, shuffle_window, bad samples, cache.
            location: folder or URL with index.json.
            fields: names of the fields to read.
            seed: fixes the order.
            num_slots: slots of the whole run.
            local_slots: those that this rank serves.
            micro_batch: samples per slot and step.
            start_step: the first step to yield.
            pin_memory: for faster copies to a GPU.

        Raises:
            DataError: the index, a shard or a field is missing, or there is too little data.
        """
        self.index = load_index(location)
        check_fields(self.index, fields, location)
        check_shards_present(location, self.index)
        by_stream: dict[str, list[str]] = {}
        for name in fields:
            by_stream.setdefault(self.index.fields[name].stream, []).append(name)
        orders = {}
        for stream in by_stream:
            sizes = [shard.num_samples for shard in self.index.streams[stream]]
            if sum(sizes) < num_slots:
                raise DataError(
                    f"The data set at {location} has {sum(sizes)} samples in stream '{stream}', "
                    f"fewer than the {num_slots} slots of this run. Use at most "
                    f"train.slots={sum(sizes)}, or more data."
                )
            orders[stream] = StreamOrder(sizes, num_slots, config.shuffle_window, seed, stream)
        self._config = config
        self._location = location
        self._reader = SampleReader(config, location, self.index)
        self._dataset = _SlotDataset(self._reader, by_stream, orders, micro_batch)
        self._local_slots = local_slots
        self._start_step = start_step
        self._pin_memory = pin_memory
        self._bad: set[str] = set()
        # Weak, so that workers end with their iterator when the caller drops it.
        self._running: weakref.WeakSet[Generator[list[SlotBatch], None, None]] = weakref.WeakSet()

    def __iter__(self) -> Iterator[list[SlotBatch]]:
        """Endless, from start_step on; element k of each item belongs to local_slots[k]."""
        steps = self._steps()
        self._running.add(steps)
        _in_use.add(self)
        return steps

    def _steps(self) -> Generator[list[SlotBatch], None, None]:
        workers = self._config.workers
        loader = DataLoader(
            self._dataset,
            batch_size=None,
            sampler=_Steps(self._start_step, self._local_slots),
            num_workers=workers,
            # Enough for one step ahead of the one in use, whatever the number of slots.
            prefetch_factor=max(2, -(-2 * len(self._local_slots) // workers)) if workers else None,
            collate_fn=_same,
            worker_init_fn=_leave_signals_to_the_run,
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
        try:
            return next(results)
        except RuntimeError as err:
            if "DataLoader worker" not in str(err):
                raise
            raise DataError(
                f"A reader process of {self._location} died ({err}). If memory, or "
                f"shared memory (/dev/shm), ran out, lower data.workers (now "
                f"{self._config.workers}) or train.batch_size, or allow more."
            ) from err

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

    Shards are shuffled when written, so the first n are a fair sample of the data set.
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
            config: how it is read: bad samples, cache. `flip` is not applied.
            location: folder or URL with index.json.
            num_samples: how many; all when omitted.
            field: the image field: image, or target of a translation.

        Raises:
            DataError: the index, a shard or the field is missing, or there is too little data.
        """
        self.index = load_index(location)
        check_fields(self.index, [field], location)
        check_shards_present(location, self.index)
        self.field = field
        self.stream = self.index.fields[field].stream
        available = self.index.num_samples(self.stream)
        if num_samples is not None and num_samples > available:
            raise DataError(
                f"{num_samples} real images are needed, but the data set at {location} has "
                f"{available}. Set evaluate.num_real to at most {available}."
            )
        self._count = available if num_samples is None else num_samples
        sizes = [shard.num_samples for shard in self.index.streams[self.stream]]
        self._ends = torch.tensor(sizes).cumsum(0)
        self._reader = SampleReader(config, location, self.index)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int) -> Tensor:
        if not 0 <= number < self._count:
            raise IndexError(number)
        return self.batch(range(number, number + 1))[0]

    def batch(self, numbers: Sequence[int]) -> Tensor:
        """Several images: uint8 [n, C, H, W]."""
        return self.samples(numbers, [self.field])[self.field]

    def samples(self, numbers: Sequence[int], fields: Sequence[str]) -> dict[str, Tensor]:
        """Fields of the same samples by name, each [n, ...]; images are uint8.

        Raises:
            DataError: the stream of these images has no such field.
        """
        check_fields(self.index, fields, self._reader.location)
        places = torch.as_tensor(list(numbers))
        shard = torch.searchsorted(self._ends, places, right=True)
        begin = torch.cat([self._ends.new_zeros(1), self._ends])[shard]
        rows = torch.stack([shard, places - begin], dim=1).numpy()
        values, bad = self._reader.batch(self.stream, rows, fields)
        for message in bad:
            logger.warning("A neighbor stands in for a bad sample: %s", message)
        return {name: self._tensor(name, value) for name, value in values.items()}

    def _tensor(self, name: str, value: Tensor | list[str]) -> Tensor:
        if not isinstance(value, Tensor):
            raise DataError(f"The field '{name}' holds text, not images. Choose an image field.")
        if self.index.fields[name].kind in PIXEL_KINDS and value.dtype != torch.uint8:
            return (value.float() * (255 / WHITE_16)).round_().to(torch.uint8)
        return value

    def close(self) -> None:
        """Close all files."""
        self._reader.close()
