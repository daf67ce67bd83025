"""Measures the data loader beside plain webdataset in the same run: images/s and memory.

    python tests/benchmarks/bench_loader.py [--json] [--images N] [--size S] [--seconds T]

Rates are given per second of wall time and per second of CPU time of the process that decodes:
the second does not suffer from whatever else the machine does, and is the rate of one core.
Memory is that of a worker process after reading, for a data set and for one four times its size.
A window of 8 frames of a clip of 250 is compared with a clip of 8 stored alone, in turns, for JPEG
and for PNG frames.
"""

import argparse
import itertools
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
import torch
import webdataset
from PIL import Image

from ganforge.config.data import ClipConfig
from ganforge.config.models import DataConfig
from ganforge.data.loader import SlotLoader
from ganforge.data.shards.clip import pack_clip
from ganforge.data.shards.index import DatasetIndex, FieldSchema, load_index
from ganforge.data.shards.writer import EncodedSample, write_stream
from ganforge.imaging.codec import encode_pixels
from ganforge.interfaces.spec import ImageSpec

BATCH = 64
DISTINCT = 256


def main() -> None:
    """Run all measurements and write a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--json", action="store_true", help="write JSON")
    parser.add_argument("--images", type=int, default=20000, help="images in the data set")
    parser.add_argument("--size", type=int, default=64, help="side in pixels")
    parser.add_argument("--seconds", type=float, default=3.0, help="per measurement")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = run(Path(folder), options)
    if options.json:
        sys.stdout.write(json.dumps(result, indent=1) + "\n")
    else:
        for name, value in result.items():
            sys.stdout.write(f"{name:32} {value}\n")


def run(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """All measurements, by name."""
    small, large = str(folder / "small"), str(folder / "large")
    size_bytes = write_jpegs(Path(small), options.images, options.size)
    write_jpegs(Path(large), 4 * options.images, options.size)
    result: dict[str, Any] = {
        "images": options.images,
        "size": options.size,
        "mean_jpeg_bytes": size_bytes,
        "torch": torch.__version__,
        "cpu_count": multiprocessing.cpu_count(),
    }
    contestants: dict[str, Callable[[], Iterator[Any]]] = {
        "ganforge": lambda: ganforge_batches(small, 0),
        "webdataset": lambda: webdataset_batches(small, "rgb8"),
        "webdataset_simplejpeg": lambda: webdataset_batches(small, decode_simplejpeg),
    }
    for name, start in contestants.items():
        wall, cpu = rate(start(), options.seconds)
        result[f"{name}_img_per_sec"] = round(wall)
        result[f"{name}_img_per_cpu_sec"] = round(cpu)
    for workers in (1, 2):
        wall, _ = rate(ganforge_batches(small, workers), options.seconds)
        result[f"ganforge_{workers}_workers_img_per_sec"] = round(wall)
    result["worker_mb"] = worker_megabytes(small, options.images)
    result["worker_mb_4x_data"] = worker_megabytes(large, 4 * options.images)
    result["resume_sec"] = round(resume_seconds(large), 3)
    for kind, frames in (("jpeg", jpegs(options.size)), ("png", pngs(options.size))):
        window, alone = clip_milliseconds(folder / f"clips_{kind}", frames, options.size)
        result[f"clip_{kind}_ms_window_of_8_from_250"] = round(window, 3)
        result[f"clip_{kind}_ms_8_stored_alone"] = round(alone, 3)
        result[f"clip_{kind}_ratio"] = round(window / alone, 3)
        result[f"clip_{kind}_frames_per_cpu_sec"] = round(1000 * 8 / window)
    return result


def jpegs(size: int) -> list[bytes]:
    """DISTINCT smooth images of noise."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (DISTINCT, size // 4, size // 4, 3), dtype=np.uint8)
    images = (
        Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC) for pixels in coarse
    )
    return [simplejpeg.encode_jpeg(np.asarray(img), quality=90) for img in images]


def pngs(size: int) -> list[bytes]:
    """The same images as `prepare` stores them by default."""
    return [encode_pixels(simplejpeg.decode_jpeg(data)) for data in jpegs(size)]


def write_jpegs(folder: Path, count: int, size: int) -> int:
    """A data set of `count` JPEGs, DISTINCT of them different; returns their mean size."""
    folder.mkdir()
    files = jpegs(size)
    samples = (
        EncodedSample(f"{n:08d}", {"image.jpg": files[n % DISTINCT], "label.cls": b"%d" % (n % 10)})
        for n in range(count)
    )
    shards = write_stream(folder, "main", samples, ("image", "label"), 4096)
    schema = {
        "image": FieldSchema(kind="image", height=size, width=size, channels=3),
        "label": FieldSchema(kind="label", size=10),
    }
    spec = ImageSpec(size, size, 3, class_names=tuple("0123456789"))
    index = DatasetIndex.build(spec, {"main": shards}, schema)
    (folder / "index.json").write_text(index.to_json())
    return sum(map(len, files)) // len(files)


def loader(location: str, workers: int, start_step: int = 0) -> SlotLoader:
    """The loader of one rank that serves one slot, shuffled over the usual window."""
    return SlotLoader(
        DataConfig(workers=workers),
        location,
        fields=["image", "label"],
        seed=0,
        num_slots=1,
        local_slots=range(1),
        micro_batch=BATCH,
        start_step=start_step,
    )


def ganforge_batches(location: str, workers: int) -> Iterator[Any]:
    """Decoded, collated, shuffled batches."""
    return iter(loader(location, workers))


def webdataset_batches(location: str, decoder: Any) -> Iterator[Any]:
    """The same through plain webdataset, with its usual shuffle buffer."""
    urls = [f"{location}/{shard.name}" for shard in load_index(location).streams["main"]]
    data = webdataset.WebDataset(urls, shardshuffle=len(urls)).shuffle(1000).decode(decoder)
    return iter(data.to_tuple("image.jpg", "label.cls").batched(BATCH).repeat())


def decode_simplejpeg(name: str, data: bytes) -> Any:
    """A faster JPEG decoder for webdataset."""
    return simplejpeg.decode_jpeg(data) if name.endswith(("jpg", "jpeg")) else None


def rate(batches: Iterator[Any], seconds: float) -> tuple[float, float]:
    """Images per second of wall time, and per second of this process's CPU time."""
    for _ in range(20):
        next(batches)
    count, wall, cpu = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - wall < seconds:
        next(batches)
        count += BATCH
    rates = count / (time.perf_counter() - wall), count / (time.process_time() - cpu)
    return rates


def write_clips(folder: Path, frames: list[bytes], num_frames: int, size: int) -> str:
    """A data set of 64 clips of these frames."""
    folder.mkdir(parents=True)
    samples = (
        EncodedSample(f"{n:03d}", {"frames.clip": pack_clip((frames * 2)[n : n + num_frames])})
        for n in range(64)
    )
    shards = write_stream(folder, "main", samples, ("frames",), 32)
    schema = FieldSchema(
        kind="image", is_clip=True, height=size, width=size, channels=3, num_frames=num_frames
    )
    spec = ImageSpec(size, size, 3, num_frames=num_frames)
    index = DatasetIndex.build(spec, {"main": shards}, {"frames": schema})
    (folder / "index.json").write_text(index.to_json())
    return str(folder)


def clip_milliseconds(
    folder: Path, frames: list[bytes], size: int, rounds: int = 60
) -> tuple[float, float]:
    """Median CPU milliseconds per clip: 8 frames from 250, and 8 stored alone."""
    batches = []
    for num_frames in (250, 8):
        location = write_clips(folder / str(num_frames), frames, num_frames, size)
        opened = SlotLoader(
            DataConfig(workers=0, clip=ClipConfig(num_frames=8)),
            location,
            fields=["frames"],
            seed=0,
            num_slots=1,
            local_slots=range(1),
            micro_batch=16,
        )
        batches.append(iter(opened))
    times: list[list[float]] = [[], []]
    for _ in range(rounds):
        for found, taken in zip(batches, times, strict=True):
            begin = time.process_time()
            next(found)
            taken.append(time.process_time() - begin)
    window, alone = (1000 * sorted(taken)[rounds // 2] / 16 for taken in times)
    return window, alone


def worker_megabytes(location: str, images: int) -> float:
    """Memory of a worker that has read the whole data set once, pages shared with others too."""
    opened = loader(location, workers=1)
    steps = iter(opened)
    for _ in itertools.islice(steps, images // BATCH):
        pass
    (worker,) = multiprocessing.active_children()
    status = Path(f"/proc/{worker.pid}/status").read_text()
    opened.close()
    kilobytes = next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]
    return round(int(kilobytes) / 1024, 1)


def resume_seconds(location: str) -> float:
    """Time to the first batch of a run that is resumed after a million steps."""
    begin = time.perf_counter()
    opened = loader(location, workers=0, start_step=10**6)
    next(iter(opened))
    opened.close()
    return time.perf_counter() - begin


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
