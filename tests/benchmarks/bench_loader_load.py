"""Reads for a long time with many workers: does memory grow, do open files stay open?

    python tests/benchmarks/bench_loader_load.py [--workers 8] [--shards 2000] [--samples 400000]

Memory is what the processes of the loader hold for themselves (RssAnon and RssShmem of Linux),
files are their descriptors; both are summed over this process and its workers. The slope is that of
a straight line through the second half of the observations: in the first, all shards are opened.
"""

import argparse
import multiprocessing
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ganforge.config.models import DataConfig
from ganforge.data.loader import SlotLoader
from ganforge.data.shards.index import DatasetIndex, FieldSchema
from ganforge.data.shards.writer import EncodedSample, write_stream
from ganforge.imaging.codec import encode_jpeg
from ganforge.interfaces.spec import ImageSpec

BATCH, SIDE = 64, 16


@dataclass(frozen=True)
class Observation:
    """After some samples: memory and open files of the loader."""

    samples: int
    megabytes: float
    files: int


def write_shards(folder: Path, num_shards: int, samples: int) -> None:
    """Shards of small JPEGs."""
    pixels = np.random.default_rng(0).integers(0, 256, (16, SIDE, SIDE, 3), dtype=np.uint8)
    files = [encode_jpeg(img) for img in pixels]
    made = (
        EncodedSample(f"{n:08d}", {"image.jpg": files[n % 16]}) for n in range(num_shards * samples)
    )
    shards = write_stream(folder, "main", made, ("image",), samples)
    schema = {"image": FieldSchema(kind="image", height=SIDE, width=SIDE, channels=3)}
    index = DatasetIndex.build(ImageSpec(SIDE, SIDE), {"main": shards}, schema)
    (folder / "index.json").write_text(index.to_json())


def observe(folder: Path, workers: int, samples: int, times: int = 20) -> list[Observation]:
    """Read, and look at the processes `times` times."""
    loader = SlotLoader(
        DataConfig(workers=workers, shuffle_window=1024),
        str(folder),
        fields=["image"],
        seed=0,
        num_slots=1,
        local_slots=range(1),
        micro_batch=BATCH,
    )
    found = []
    try:
        batches = iter(loader)
        for look in range(1, times + 1):
            for _ in range(samples // BATCH // times):
                next(batches)
            found.append(_look(look * (samples // BATCH // times) * BATCH))
    finally:
        loader.close()
    return found


def _look(samples: int) -> Observation:
    workers = [child.pid for child in multiprocessing.active_children()]
    processes = [os.getpid(), *(pid for pid in workers if pid is not None)]
    held = sum(_held_kb(pid) for pid in processes)
    files = sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in processes)
    return Observation(samples, held / 1024, files)


def _held_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    values = (line.split() for line in lines if line.startswith(("RssAnon:", "RssShmem:")))
    return sum(int(value[1]) for value in values)


def slope(found: list[Observation]) -> tuple[float, float]:
    """MB and files for each 100,000 samples, from the second half."""
    later = found[len(found) // 2 :]
    samples = [each.samples / 100_000 for each in later]
    columns = ([each.megabytes for each in later], [each.files for each in later])
    memory, files = (float(np.polyfit(samples, values, 1)[0]) for values in columns)
    return memory, files


def main() -> None:
    """Write the observations and the slopes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--shards", type=int, default=2000)
    parser.add_argument("--samples", type=int, default=400_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_shards(Path(folder), options.shards, 50)
        found = observe(Path(folder), options.workers, options.samples)
    for each in found:
        sys.stdout.write(
            f"{each.samples:8,} samples  {each.megabytes:7.1f} MB  {each.files} files\n"
        )
    memory, files = slope(found)
    sys.stdout.write(f"for 100,000 samples: {memory:+.2f} MB, {files:+.2f} files\n")


if __name__ == "__main__":
    main()
