"""Simulates the order of data, and the start, of a very large run, rank by rank, without images.

    python tests/benchmarks/simulate_order.py [--ranks 4096] [--shards 100000]

Every lane of every rank lists a whole epoch. It must show each sample exactly once. Reported are
the balance of samples and of shards over lanes, and, for one rank, the seconds of a core and memory
of reading the index and of finding its first batch.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganforge.data.order import StreamOrder, epoch_start
from ganforge.data.shards.index import DatasetIndex, FieldSchema, ShardInfo, load_index
from ganforge.interfaces.spec import ImageSpec

WINDOW = 16384


def shard_sizes(num_shards: int, samples: int) -> list[int]:
    """Sizes as `prepare` writes them by several processes: some shards are not full."""
    rng = np.random.default_rng(0)
    partial = rng.integers(1, samples + 1, num_shards)
    return np.where(rng.random(num_shards) < 0.01, partial, samples).tolist()  # type: ignore[no-any-return]


def simulate(sizes: Sequence[int], num_lanes: int, epoch: int = 1) -> dict[str, float]:
    """One epoch of all lanes: how often each sample was shown, and how even the lanes are."""
    order = StreamOrder(sizes, num_lanes, WINDOW, seed=0)
    shown: NDArray[np.uint8] = np.zeros(order.num_samples, dtype=np.uint8)
    counts, shards = [], []
    for lane in range(num_lanes):
        first = epoch_start(order.num_samples, num_lanes, lane, epoch)
        last = epoch_start(order.num_samples, num_lanes, lane, epoch + 1)
        places = order.locate(lane, first, last - first)
        np.add.at(shown, order.numbers(places), 1)
        counts.append(last - first)
        shards.append(len(np.unique(places[:, 0])))
    mean = order.num_samples / num_lanes
    return {
        "samples": order.num_samples,
        "shown_once": int((shown == 1).sum()),
        "fewest_samples_of_a_lane": min(counts),
        "most_samples_of_a_lane": max(counts),
        "imbalance": (max(counts) - min(counts)) / mean,
        "most_shards_of_a_lane": max(shards),
    }


def write_index(folder: Path, sizes: Sequence[int]) -> None:
    """An index of shards that do not exist."""
    shards = tuple(
        ShardInfo(name=f"{i:06}.tar", num_samples=n, num_bytes=n * 100_000, sha256=f"{i:064x}")
        for i, n in enumerate(sizes)
    )
    image = FieldSchema(kind="image", height=256, width=256, channels=3)
    index = DatasetIndex.build(ImageSpec(256, 256), {"main": shards}, {"image": image})
    (folder / "index.json").write_text(index.model_dump_json())


def start_of_one_rank(folder: str, rank: int, num_ranks: int) -> dict[str, float]:
    """Seconds and memory of a rank before its first sample; call it in a fresh process."""
    before, start = _held_kb(), time.process_time()
    index = load_index(folder)
    parsed = time.process_time()
    sizes = [shard.num_samples for shard in index.streams["main"]]
    order = StreamOrder(sizes, num_ranks, WINDOW, seed=0)
    order.locate(rank, 0, 64)
    located = time.process_time()
    order.locate(rank, 64, 64)
    again = time.process_time()
    return {
        "index_sec": parsed - start,
        "first_batch_sec": located - parsed,
        "next_batch_sec": again - located,
        "memory_mb": (_held_kb() - before) / 1024,
    }


def _held_kb() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("RssAnon:")))


def main() -> None:
    """Simulate, and write JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--ranks", type=int, default=4096)
    parser.add_argument("--shards", type=int, default=100_000)
    parser.add_argument("--samples", type=int, default=1000, help="in a full shard")
    parser.add_argument("--start", metavar="FOLDER", help="only the start of the last rank")
    options = parser.parse_args()
    if options.start:
        found: dict[str, Any] = start_of_one_rank(options.start, options.ranks - 1, options.ranks)
        sys.stdout.write(json.dumps(found) + "\n")
        return
    sizes = shard_sizes(options.shards, options.samples)
    start = time.process_time()
    found = simulate(sizes, options.ranks)
    found["sec_per_lane_and_epoch"] = (time.process_time() - start) / options.ranks
    with tempfile.TemporaryDirectory() as folder:
        write_index(Path(folder), sizes)
        command = [sys.executable, __file__, "--start", folder, "--ranks", str(options.ranks)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    found |= json.loads(done.stdout)
    for name, value in found.items():
        sys.stdout.write(f"{name:28} {value:,.6g}\n")


if __name__ == "__main__":
    main()
