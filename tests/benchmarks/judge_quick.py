"""Train the quick Fashion-MNIST recipes and judge them: a table of medians and ranges over seeds.

What is finished is not done again: the same command continues what was stopped. Each run takes up
to 10 minutes on two idle cores. Several at a time (`--jobs`) have one thread each and end by their
kimg alone, so that a busy machine changes no number. The judge is `judge_fashion_mnist.py`'s.

    python tests/benchmarks/judge_fashion_mnist.py train --cache judge/
    python tests/benchmarks/judge_quick.py acgan --seeds 0,1,2 --jobs 2 --cache judge/
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import click

ROOT = Path(__file__).resolve().parents[2]
COLUMNS = ("recipe", "seeds", "minutes", "kimg", "distance", "asked class", "worst class")


def recipes() -> dict[str, Path]:
    """Pipeline files by short name."""
    folder, ending = ROOT / "pipelines", "_fashion_mnist"
    files = [folder / "quickstart.yaml", *sorted((folder / "quick").glob(f"*{ending}.yaml"))]
    return {path.stem.removesuffix(ending): path for path in files}


def train_and_judge(pipeline: Path, seed: int, run_dir: Path, cache: Path, jobs: int) -> None:
    """Run a recipe and write what the judge says to `judge.json` in its run directory."""
    overrides = [f"run_dir={run_dir}", f"train.seed={seed}", "stages=[prepare,train,publish]"]
    env = dict(os.environ)
    if jobs > 1:
        overrides.append("train.max_minutes=null")
        env |= {"GANFORGE_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "ganforge.run", str(pipeline), *overrides]
    subprocess.run(command, check=True, cwd=ROOT, env=env)
    judge = Path(__file__).with_name("judge_fashion_mnist.py")
    scored = subprocess.run(
        [sys.executable, str(judge), "score", str(run_dir / "export"), "--cache", str(cache)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env=env,
    )
    partial = run_dir / "judge.json.partial"
    partial.write_text(scored.stdout)
    partial.rename(run_dir / "judge.json")


def numbers(run_dir: Path) -> dict[str, float]:
    """What the table shows of one run; classes in percent."""
    report: dict[str, Any] = json.loads((run_dir / "judge.json").read_text())
    last = json.loads((run_dir / "log.jsonl").read_text().splitlines()[-1])
    found = {
        "minutes": last["elapsed_sec"] / 60,
        "kimg": last["kimg"],
        "distance": report["frechet_vs_60k_train"],
    }
    if "asked_class_accuracy" in report:
        found["asked class"] = 100 * report["asked_class_accuracy"]
        found["worst class"] = 100 * min(report["asked_class_accuracy_per_class"])
    return found


def cell(values: Sequence[float]) -> str:
    """The median, and the range where there are several."""
    if not values:
        return ""
    middle = f"{statistics.median(values):.1f}"
    if len(values) == 1:
        return middle
    return f"{middle} ({min(values):.1f} to {max(values):.1f})"


def table(out: Path) -> str:
    """All finished runs below `out`, one row per recipe, as Markdown."""
    runs: dict[str, list[dict[str, float]]] = {}
    for path in sorted(out.glob("*/judge.json")):
        runs.setdefault(path.parent.name.rsplit("-s", 1)[0], []).append(numbers(path.parent))
    rows = [COLUMNS, ("---",) * len(COLUMNS)]
    for name, found in runs.items():
        cells = [cell([run[column] for run in found if column in run]) for column in COLUMNS[2:]]
        rows.append((name, str(len(found)), *cells))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(recipes())))
@click.option("--seeds", default="0", show_default=True, help="E.g. 0,1,2.")
@click.option("--cache", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--out", type=click.Path(path_type=Path), default=Path("quick"), show_default=True)
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True)
def main(names: tuple[str, ...], seeds: str, cache: Path, out: Path, jobs: int) -> None:
    """Train and judge the recipes NAMES, all when none is given; then print the table."""
    out, cache = out.resolve(), cache.resolve()

    failed = Event()

    def run(wanted: tuple[str, int]) -> None:
        name, seed = wanted
        run_dir = out / f"{name}-s{seed}"
        if failed.is_set() or (run_dir / "judge.json").exists():
            return
        try:
            train_and_judge(recipes()[name], seed, run_dir, cache, jobs)
        except BaseException:
            failed.set()  # a run that fails takes those that have not begun with it
            raise

    runs = [(name, int(seed)) for seed in seeds.split(",") for name in names or recipes()]
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(run, runs))
    click.echo(table(out))


if __name__ == "__main__":
    main()
