"""Run every benchmark of this folder, one after the other, and print one JSON line each.

make bench
"""

import json
import platform
import subprocess
import sys
import time
from pathlib import Path

import click

FOLDER = Path(__file__).parent
COMMANDS = (
    ["bench_peak.py"],
    ["bench_dcgan.py", "--json"],
    ["bench_cyclegan.py", "--json"],
    ["bench_pix2pix.py", "--json"],
    ["bench_stylegan2.py", "--json"],
    ["bench_biggan.py", "--json"],
    ["bench_convolutions.py", "dcgan", "--json"],
    ["bench_convolutions.py", "cyclegan", "--json"],
    ["bench_convolutions.py", "pix2pix", "--json"],
    ["bench_small_grids.py"],
    ["bench_penalties.py", "--json"],
    ["bench_heap.py", "--json"],
    ["bench_busy.py", "--json"],
    ["bench_loader.py", "--json"],
    ["bench_features.py"],
    ["bench_translate.py", "--json"],
    ["bench_start.py", "--json"],
    ["bench_report.py", "--json"],
)


def main() -> int:
    """Run all; returns 1 when one fails."""
    import torch

    header = {
        "date": time.strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "machine": platform.machine(),
    }
    click.echo(json.dumps(header))
    failed = 0
    for name, *options in COMMANDS:
        done = subprocess.run(
            [sys.executable, str(FOLDER / name), *options], stdout=subprocess.PIPE, text=True
        )
        failed |= done.returncode
        click.echo(f"{name}: {done.stdout.strip() or f'failed with {done.returncode}'}")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
