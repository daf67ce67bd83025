"""Start-up: `ganforge --help`, and a resumed run's first step against a fresh run's.

The resumed run continues a third of an epoch into a data set of many shards. Both are measured as
a user sees them: from the command to its end, with one step to do; the difference is what resuming
costs.

    python tests/benchmarks/bench_start.py [--repeats 3] [--json]
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np
import yaml
from PIL import Image

from ganforge.config.models import DataConfig
from ganforge.data.prepare.source_to_shards import prepare


def write_images(folder: Path, count: int) -> None:
    """Random 32x32 gray images."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for number in range(count):
        pixels = rng.integers(0, 256, (32, 32), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")


def run_steps(folder: Path, name: str, shards: Path, nimg: int) -> float:
    """Seconds to bring run `name` to `nimg` images in steps of 16."""
    pipeline = {
        "name": name,
        "stages": ["train"],
        "data": {"shards": str(shards)},
        "model": {"architecture": "dcgan", "base_channels": 32},
        "train": {"batch_size": 16, "total_kimg": nimg / 1000, "trackers": [], "compile": False},
    }
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(pipeline))
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "ganforge.run", f"{name}.yaml"],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return time.perf_counter() - start


def help_seconds() -> float:
    """Seconds of `ganforge --help`."""
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "ganforge", "--help"], check=True, stdout=subprocess.DEVNULL
    )
    return time.perf_counter() - start


@click.command()
@click.option("--repeats", default=3)
@click.option("--images", default=3000, help="Size of the data set.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def main(repeats: int, images: int, as_json: bool) -> None:
    """Measure and print medians, in seconds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_images(folder / "images", images)
        shards = folder / "shards"
        prepare(DataConfig(source={"name": "folder", "path": str(folder / "images")}), shards)
        at = images // 3 // 16 * 16
        fresh, resumed = [], []
        for number in range(repeats):
            fresh.append(run_steps(folder, f"fresh{number}", shards, 16))
            run_steps(folder, f"resumed{number}", shards, at)
            resumed.append(run_steps(folder, f"resumed{number}", shards, at + 16))
        result = {
            "help_sec": statistics.median(help_seconds() for _ in range(2 * repeats + 1)),
            "fresh_start_sec": statistics.median(fresh),
            "resume_sec": statistics.median(resumed),
            "resume_extra_sec": statistics.median(resumed) - statistics.median(fresh),
            "resumed_at_images": at,
        }
    if as_json:
        click.echo(json.dumps(result))
        return
    for key, value in result.items():
        click.echo(f"{key:20} {value:.3f}")


if __name__ == "__main__":
    main()
