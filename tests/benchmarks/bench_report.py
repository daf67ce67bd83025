"""Time to write a report of 5,000 records and 200 pictures, and until a browser shows all of it.

python tests/benchmarks/bench_report.py [--json]

On a busy machine only the CPU times say something; those of the browser are of all its processes.
"""

import json
import math
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))
from report.browser import Browser, find_browser
from report.runs import record, write_run

from ganforge.report.page import write_report

_SIDE = 1024


def make_run(folder: Path, num_records: int, num_pictures: int) -> Path:
    """A run whose pictures are grids of 1024 x 1024 pixels as hard to compress as photographs."""
    rng = np.random.default_rng(0)
    names = [f"loss/term{n}" for n in range(5)] + [f"logits/{n}" for n in range(4)]
    lines = [
        record(k, **{name: math.exp(-k / 2000) + 0.1 * rng.normal() for name in names})
        for k in map(float, range(1, num_records + 1))
    ]
    write_run(folder, lines=lines, total_kimg=float(num_records))
    for number in range(num_pictures):
        coarse = rng.integers(0, 256, (_SIDE // 8, _SIDE // 8, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
        nimg = (number + 1) * 1000 * num_records // num_pictures
        picture.save(folder / f"samples/nimg-{nimg:09d}.png", compress_level=1)
    return folder


def measure(num_records: int, num_pictures: int) -> dict[str, float]:
    """Seconds and bytes."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = make_run(Path(temporary) / "run", num_records, num_pictures)
        start, cpu = time.perf_counter(), time.process_time()
        write_report([folder], folder / "report.html")
        written = {
            "write_sec": time.perf_counter() - start,
            "write_cpu_sec": time.process_time() - cpu,
            "size_mb": (folder / "report.html").stat().st_size / 1e6,
        }
        program = find_browser()
        if program is None:
            return written
        browser = Browser(program)
        try:
            before = browser.cpu_sec()
            browser.open((folder / "report.html").as_uri())
            cpu = browser.cpu_sec() - before
            # Milliseconds from the start of loading until the last chart is drawn.
            shown = int(browser.run("document.documentElement.dataset.ready")) / 1000
        finally:
            browser.close()
    return {**written, "shown_sec": shown, "shown_cpu_sec": cpu}


@click.command()
@click.option("--records", default=5000, show_default=True)
@click.option("--pictures", default=200, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def main(records: int, pictures: int, as_json: bool) -> None:
    """Measure and print."""
    found = {name: round(value, 2) for name, value in measure(records, pictures).items()}
    click.echo(json.dumps(found) if as_json else "\n".join(f"{k} {v}" for k, v in found.items()))


if __name__ == "__main__":
    main()
