"""Start-up: commands against `import torch`, and a resumed run's first step against a fresh run's.

Commands are measured in turns, each from its start to its end. The ratio to `import torch` is one
of processor time, on which other load has little influence.

The resumed run continues a third of an epoch into a data set of many shards. It and the fresh run
have one step to do; the difference is what resuming costs.

    python tests/benchmarks/bench_start.py [--repeats 3] [--json]
"""

import json
import os
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

# Modules are compiled once, as after an installation.
COMPILED = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


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


def command_seconds(images: Path, shards: Path, repeats: int) -> dict[str, float]:
    """What commands take that do next to nothing: medians, and ratios to `import torch`."""
    commands = {
        "torch": ["-c", "import torch"],
        "help": ["-m", "ganforge", "--help"],
        "inspect": ["-m", "ganforge", "data", "inspect", str(images), "--max-samples", "1"],
        "verify": ["-m", "ganforge", "data", "verify", str(shards)],
        "schema": ["-m", "ganforge", "schema"],
        "plugins_list": ["-m", "ganforge", "plugins", "list"],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    processor: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(repeats + 1):
        for name, arguments in commands.items():
            before = os.times()
            command = [sys.executable, *arguments]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=COMPILED)
            after = os.times()
            if turn:  # the first one compiles the modules
                seconds[name].append(after.elapsed - before.elapsed)
                user = after.children_user - before.children_user
                processor[name].append(user + after.children_system - before.children_system)
    median = {name: statistics.median(times) for name, times in processor.items()}
    taken = {f"{name}_sec": statistics.median(times) for name, times in seconds.items()}
    spent = {f"{name}_processor_sec": time for name, time in median.items()}
    ratios = {f"{name}_over_torch": time / median["torch"] for name, time in median.items()}
    return taken | spent | ratios


def run_seconds(folder: Path, shards: Path, at: int, repeats: int) -> dict[str, float]:
    """Median seconds of a fresh run of one step, and of a resumed one that is at `at` images."""
    fresh, resumed = [], []
    for number in range(repeats):
        fresh.append(run_steps(folder, f"fresh{number}", shards, 16))
        run_steps(folder, f"resumed{number}", shards, at)
        resumed.append(run_steps(folder, f"resumed{number}", shards, at + 16))
    return {
        "fresh_start_sec": statistics.median(fresh),
        "resume_sec": statistics.median(resumed),
        "resume_extra_sec": statistics.median(resumed) - statistics.median(fresh),
        "resumed_at_images": at,
    }


@click.command()
@click.option("--repeats", default=3)
@click.option("--images", default=3000, help="Size of the data set.")
@click.option("--runs/--no-runs", default=True, help="Measure runs, or commands only.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def main(repeats: int, images: int, runs: bool, as_json: bool) -> None:
    """Measure and print medians, in seconds, and ratios of them."""
    with tempfile.TemporaryDirectory() as name:
        folder, shards = Path(name), Path(name) / "shards"
        write_images(folder / "images", images)
        prepare(DataConfig(source={"name": "folder", "path": str(folder / "images")}), shards)
        result = {"load": os.getloadavg()[0]}
        result |= command_seconds(folder / "images", shards, repeats)
        if runs:
            result |= run_seconds(folder, shards, images // 3 // 16 * 16, repeats)
    if as_json:
        click.echo(json.dumps(result))
        return
    for key, value in result.items():
        click.echo(f"{key:28} {value:.3f}")


if __name__ == "__main__":
    main()
