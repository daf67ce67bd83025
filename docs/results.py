"""Write the tables and the chart of measured numbers: `python docs/results.py`.

Commit what it writes. The numbers are in docs/data. A page takes a table between the markers
`<!-- data: NAME -->` and `<!-- end -->`; what stands outside them is written by hand. tests/docs
fails when a page, the chart or a strip of samples is out of date.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

DOCS = Path(__file__).parent
PAGES = ("results.md", "ablations.md", "benchmarks.md")
CHART = DOCS / "img" / "results.svg"
ABLATION_COLUMNS = {
    "change": "Run",
    "matching": "`mismatched_pairs`",
    "seeds": "Seeds",
    "machine": "Machine",
    "kimg": "kimg",
    "fid": "FID",
    "is": "IS",
    "kid": "KID",
    "distance": "Fréchet distance",
    "class": "Class recognized, %",
    "worst": "Worst class, %",
    "psnr": "PSNR, dB",
    "ssim": "SSIM",
    "difference": "Difference",
    "style": "Style, %",
    "kept": "Same emoji, %",
}
_BLOCK = re.compile(r"(<!-- data: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def load(name: str) -> dict[str, Any]:
    """The content of docs/data/NAME.yaml."""
    data: dict[str, Any] = yaml.safe_load((DOCS / "data" / f"{name}.yaml").read_text("utf-8"))
    return data


def cell(row: Mapping[str, Any], key: str) -> str:
    """A number as a table shows it: nothing, one value, or a median with its range."""
    value = row.get(key)
    if value is None:
        return ""
    if isinstance(value, list):
        median, low, high = value
        return f"{median} ({low}–{high})"
    return str(value)


def middle(value: Any) -> Any:
    """The median of a number that was measured on several seeds."""
    return value[0] if isinstance(value, list) else value


def table(columns: Mapping[str, str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows as a Markdown table with the headings of `columns`."""
    lines = [list(columns.values()), ["---"] * len(columns)]
    lines += [[cell(row, key) for key in columns] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


# Models


def ranked(models: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Models by Fréchet distance, the best first."""
    return sorted(models, key=lambda model: middle(model.get("distance", 0)))


def models_table(data: dict[str, Any], task: str) -> str:
    """One line for each model of a task, and the numbers of reference images."""
    numbers = data["tasks"][task]["columns"]
    columns = {
        "model": "Model and `ganforge run`",
        "samples": "Samples",
        **numbers,
        "minutes": "Minutes",
        "kimg": "kimg",
        "hardware": "Hardware",
    }
    rows = [
        model
        | {key: middle(model[key]) for key in numbers}
        | {
            "model": f"[{model['name']}](architectures/{model['page']}.md)<br>`{model['run']}`"
            + (f"<br>*{model['note']}*" if "note" in model else ""),
            "samples": samples_link(model),
        }
        for model in ranked(model for model in data["models"] if model["task"] == task)
    ]
    references = data["tasks"][task]["references"]
    return table(columns, [*rows, *({"model": f"*{row['name']}*", **row} for row in references)])


def samples_link(model: dict[str, Any]) -> str:
    """The strip of a model's samples, linked to the whole picture."""
    if not model["picture"]:
        return ""
    return f"[![]({strip_path(model).relative_to(DOCS)})](img/{model['picture']})"


def seeds_table(data: dict[str, Any]) -> str:
    """Medians and ranges over seeds, and where they ran."""
    columns = {
        "name": "Model",
        "seeds": "Seeds",
        **data["tasks"]["class"]["columns"],
        "where": "Where",
    }
    judged = ranked(model for model in data["models"] if "distance" in model)
    return table(columns, (row | {"where": row.get("where") or row["hardware"]} for row in judged))


def ablations(data: dict[str, Any]) -> str:
    """Heading, prose, table and commands of each group of ablations."""
    parts = []
    for group in data["ablations"]:
        used = {key for row in group["rows"] for key in row}
        columns = {key: head for key, head in ABLATION_COLUMNS.items() if key in used}
        code = f"```sh\n{group['command']}```\n"
        text = f"{group['text']}\n"
        parts += [f"## {group['title']}\n", text, table(columns, group["rows"]), code]
    return "\n".join(parts)


# The chart

ROW, LEFT, WIDTH, TOP = 26, 190, 760, 54
# Mid-tones, readable on white and on black: an image does not know the theme of its page.
TEXT, GRID, COLORS = "#7d7d7d", "#7d7d7d55", {"class": "#3987c9", "noise": "#d9822b"}
LEGEND = {"class": "by class", "noise": "without classes"}


def chart(data: dict[str, Any]) -> str:
    """An SVG with a bar for the Fréchet distance of each model, and a line for its range."""
    models = ranked(model for model in data["models"] if "distance" in model)
    height = TOP + ROW * len(models) + 34
    scale = (WIDTH - LEFT - 60) / max(numbers(model["distance"])[2] for model in models)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'font-family="sans-serif" font-size="14" fill="{TEXT}">',
        "<title>Fréchet distance of the quick recipes on Fashion-MNIST</title>",
        *legend(),
        *grid(scale, height),
    ]
    for place, model in enumerate(models):
        lines += bar(model, TOP + ROW * place, scale)
    return "\n".join([*lines, "</svg>\n"])


def numbers(value: Any) -> Sequence[float]:
    """Median, lowest and highest of a number; all the same where one seed was measured."""
    return value if isinstance(value, list) else (value, value, value)


def legend() -> Iterator[str]:
    """What the colors mean."""
    for place, (task, text) in enumerate(LEGEND.items()):
        x = LEFT + 130 * place
        yield f'<rect x="{x}" y="12" width="14" height="14" rx="2" fill="{COLORS[task]}"/>'
        yield f'<text x="{x + 20}" y="24">{text}</text>'


def grid(scale: float, height: int) -> Iterator[str]:
    """A vertical line and a label for every 5 units, and the title of the axis."""
    bottom = height - 30
    for value in range(0, int((WIDTH - LEFT - 60) / scale) + 1, 5):
        x = LEFT + value * scale
        yield f'<path d="M{x:.1f} {TOP - 8}V{bottom}" stroke="{GRID}"/>'
        yield f'<text x="{x:.1f}" y="{TOP - 12}" text-anchor="middle" font-size="12">{value}</text>'
    yield (
        f'<text x="{LEFT}" y="{height - 10}" font-size="12">Fréchet distance, lower is better; '
        "bar: median, line: range over seeds</text>"
    )


def bar(model: dict[str, Any], y: int, scale: float) -> Iterator[str]:
    """Name, bar, range and value of one model."""
    median, low, high = numbers(model["distance"])
    center, right = y + ROW / 2 - 2, LEFT + high * scale
    yield (
        f'<text x="{LEFT - 10}" y="{center + 5}" text-anchor="end">{escape(model["name"])}</text>'
    )
    yield (
        f'<rect x="{LEFT}" y="{y + 2}" width="{median * scale:.1f}" height="{ROW - 8}" rx="2" '
        f'fill="{COLORS[model["task"]]}"/>'
    )
    if high > low:
        yield (
            f'<path d="M{LEFT + low * scale:.1f} {center}H{right:.1f}" stroke="{TEXT}" '
            'stroke-width="2"/>'
        )
    yield f'<text x="{right + 8:.1f}" y="{center + 5}">{median}</text>'


# Strips of samples

TRANSLATORS = ("paired", "unpaired", "translation")
"""Tasks whose pictures show sources above outputs."""


def strip_path(model: dict[str, Any]) -> Path:
    """Where the strip of a model lies."""
    return DOCS / "img" / "strips" / Path(model["picture"]).name


def strip(model: dict[str, Any]) -> Image.Image:
    """The first two rows of a picture, 64 pixels high."""
    with Image.open(DOCS / "img" / model["picture"]) as picture:
        rows = 128 if model["task"] in TRANSLATORS else 64
        top = picture.crop((0, 0, picture.width, rows))
    return top.resize((top.width * 64 // rows, 64), Image.Resampling.BOX)


# Benchmarks


def benchmark_tables(data: dict[str, Any]) -> dict[str, str]:
    """The tables of docs/data/benchmarks.yaml, with their commands, by name."""
    blocks = {}
    for name, entry in data.items():
        columns = entry["columns"]
        rows = (dict(zip(columns, row, strict=True)) for row in entry["rows"])
        blocks[name] = f"{table(columns, rows)}\n```sh\n{entry['command']}```\n"
    return blocks


def blocks() -> dict[str, str]:
    """Every block of Markdown that a page may take, by name."""
    data = load("results")
    machines = {
        "name": "Machine",
        "processor": "Processor",
        "memory": "Memory",
        "date": "Date",
        "versions": "PyTorch",
        "notes": "Notes",
    }
    judges = {
        "machine": "Machine",
        "epochs": "Epochs",
        "accuracy": "Test accuracy",
        "test": "Test images",
        "resampled": "Resampled to 32x32",
    }
    return {
        **{f"models-{task}": models_table(data, task) for task in data["tasks"]},
        "seeds": seeds_table(data),
        "judges": table(judges, data["judges"]),
        "machines": table(machines, data["machines"]),
        "ablations": ablations(data),
        **benchmark_tables(load("benchmarks")),
    }


def filled(page: str) -> str:
    """A page with its blocks replaced by what the data says."""
    found = blocks()
    return _BLOCK.sub(lambda match: f"{match[1]}{found[match[2]]}{match[3]}", page)


def generated() -> dict[Path, str]:
    """Every generated text file with what it should hold."""
    pages = {DOCS / name: filled((DOCS / name).read_text("utf-8")) for name in PAGES}
    return {**pages, CHART: chart(load("results"))}


def main() -> None:
    """Write pages, chart and strips."""
    for target, text in generated().items():
        target.write_text(text, encoding="utf-8")
    for model in load("results")["models"]:
        if model["picture"]:
            strip_path(model).parent.mkdir(exist_ok=True)
            strip(model).save(strip_path(model), optimize=True)


if __name__ == "__main__":
    main()
