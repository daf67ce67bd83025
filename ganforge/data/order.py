"""The order of samples: a pure function of integers, the same on every machine.

Legend: N samples, L lanes (one per slot), e epoch, p position in a lane (endless, from 0).

Dealing sample after sample to the lanes in turn, position p of lane l is the global number
g = p * L + l, so its epoch is e = g // N: no state is needed to know where a lane stands, and
lanes never drift by more than one sample. Within an epoch the shards are permuted, their samples
laid end to end and rotated by a hashed amount; each lane owns one contiguous segment, and inside
it blocks of `window` samples are permuted. Every sample is therefore shown exactly once per epoch
for any number of ranks and workers, and a lane reads few shards at a time.

Permutations sort hashes of integers (`ganforge.io.hashing`), which never change. So does what else
is random about a position (`Draw`): each is a hash of (seed, stream, lane, position).
"""

import zlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from ganforge.io.hashing import hash_key, hash_range

_Arrays = tuple[NDArray[np.int64], ...]
_CACHE_BYTES = 32 * 2**20
_SHARDS, _ROTATION, _BLOCK = range(3)


class Draw(IntEnum):
    """What is drawn for each position. The numbers are part of every run, and never change."""

    FLIP = 3
    CAPTION = 4
    CROP_TOP = 5
    CROP_LEFT = 6
    CROP_SCALE = 7
    CLIP_START = 8
    DERIVATION = 9


def permutation(count: int, key: int) -> NDArray[np.int64]:
    """A permutation of range(count), fixed by `key`: [count] int64."""
    return np.argsort(hash_range(0, count, key), kind="stable").astype(np.int64, copy=False)


def epoch_of(num_samples: int, num_lanes: int, lane: int, position: int) -> int:
    """The epoch of a lane's position."""
    return (position * num_lanes + lane) // num_samples


def epoch_start(num_samples: int, num_lanes: int, lane: int, epoch: int) -> int:
    """The first position of a lane in an epoch (equal to the next epoch's if it has none)."""
    return (epoch * num_samples + num_lanes - 1 - lane) // num_lanes


def segment(num_samples: int, num_lanes: int, lane: int, epoch: int) -> tuple[int, int]:
    """Where a lane's share of an epoch lies: (start, length) in the epoch's N samples."""
    base, extra = divmod(num_samples, num_lanes)
    first_extra = epoch * extra % num_lanes
    # Lanes first_extra .. first_extra + extra - 1 (mod L) hold one sample more in this epoch.
    before = max(0, min(lane, first_extra + extra) - first_extra)
    before += max(0, min(lane, first_extra + extra - num_lanes))
    length = base + ((lane - first_extra) % num_lanes < extra)
    return lane * base + before, length


@dataclass
class StreamOrder:
    """The endless order of one stream of samples, lane by lane.

    Attributes:
        shard_sizes: samples in each shard, in index order.
        num_lanes: number of lanes; one per slot of the training run.
        window: samples of a lane that are shuffled together.
        seed: of the run.
        stream: name of the stream; streams of one seed are independent.
    """

    shard_sizes: Sequence[int]
    num_lanes: int
    window: int
    seed: int
    stream: str = "main"

    def __post_init__(self) -> None:
        self._cache: OrderedDict[tuple[int, int], tuple[int, _Arrays]] = OrderedDict()
        self._cached_bytes = 0
        self.num_samples = sum(self.shard_sizes)
        self._stream_key = zlib.crc32(self.stream.encode())

    def locate(self, lane: int, position: int, count: int) -> NDArray[np.int64]:
        """Which samples a lane shows at positions position .. position + count - 1.

        Returns:
            [count, 2] int64: shard, and sample within the shard, both in index order.
        """
        parts: list[NDArray[np.int64]] = []
        while count > 0:
            epoch = epoch_of(self.num_samples, self.num_lanes, lane, position)
            begin = epoch_start(self.num_samples, self.num_lanes, lane, epoch)
            start, length = segment(self.num_samples, self.num_lanes, lane, epoch)
            block, skip = divmod(position - begin, self.window)
            size = min(self.window, length - block * self.window)
            chosen = self._block(epoch, lane, block, size)[skip : skip + count]
            parts.append(self._to_shards(epoch, start + block * self.window + chosen))
            position += len(chosen)
            count -= len(chosen)
        return np.concatenate(parts)

    def numbers(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """The numbers of samples in index order: [count], from what `locate` returns."""
        sizes = np.asarray(self.shard_sizes, dtype=np.int64)
        begins = np.cumsum(sizes) - sizes
        return begins[places[:, 0]] + places[:, 1]

    def draw(self, what: Draw, lane: int, position: int, count: int) -> NDArray[np.uint64]:
        """A hash for each of the positions position .. position + count - 1: [count]."""
        return hash_range(position, count, self._key(what, lane))

    def _key(self, *parts: int) -> int:
        return hash_key(self.seed, self._stream_key, *parts)

    def _block(self, epoch: int, lane: int, block: int, size: int) -> NDArray[np.int64]:
        # A lane goes forward: only its newest block is worth keeping.
        key = self._key(_BLOCK, epoch, lane, block)
        return self._cached((_BLOCK, lane), key, lambda: (permutation(size, key),))[0]

    def _shard_order(self, epoch: int) -> _Arrays:
        """The shards in the order of an epoch, and where each ends and begins in it."""
        order = permutation(len(self.shard_sizes), self._key(_SHARDS, epoch))
        sizes = np.asarray(self.shard_sizes, dtype=np.int64)[order]
        ends = np.cumsum(sizes)
        return order, ends, ends - sizes

    def _to_shards(self, epoch: int, places: NDArray[np.int64]) -> NDArray[np.int64]:
        # Lanes pass from one epoch to the next at slightly different times.
        name = (_SHARDS, epoch % 2)
        order, ends, begins = self._cached(name, epoch, lambda: self._shard_order(epoch))
        rotation = self._key(_ROTATION, epoch) % self.num_samples
        places = (places + rotation) % self.num_samples
        rank = np.searchsorted(ends, places, side="right")
        return np.stack([order[rank], places - begins[rank]], axis=1)

    def _cached(self, name: tuple[int, int], version: int, make: Callable[[], _Arrays]) -> _Arrays:
        """The arrays of this name, made anew where those at hand are of another version."""
        if name in self._cache and self._cache[name][0] == version:
            self._cache.move_to_end(name)
            return self._cache[name][1]
        self._drop(self._cache.pop(name, None))
        arrays = make()
        self._cache[name] = version, arrays
        self._cached_bytes += sum(a.nbytes for a in arrays)
        while self._cached_bytes > _CACHE_BYTES and len(self._cache) > 2:
            self._drop(self._cache.popitem(last=False)[1])
        return arrays

    def _drop(self, entry: tuple[int, _Arrays] | None) -> None:
        if entry is not None:
            self._cached_bytes -= sum(a.nbytes for a in entry[1])
