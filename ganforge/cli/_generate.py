"""From the arguments of `generate`, `translate` and `evaluate` to calls of the library."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor

from ganforge.cli._load import Arguments, conditions
from ganforge.cli._options import parse_options
from ganforge.config.choices import ComponentChoice
from ganforge.config.models import DataConfig, EvaluateConfig, MetricChoice
from ganforge.errors import ConfigError, DataError
from ganforge.imaging.save import check_folder, write_png
from ganforge.inference.generate import run_request
from ganforge.inference.pretrained import PretrainedGan
from ganforge.inference.seeds import resolve_seeds
from ganforge.interfaces.generation import GenerateRequest
from ganforge.metrics.evaluation import evaluate
from ganforge.metrics.requests import MeasuredModel
from ganforge.training.runtime import Runtime

_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif"}


def generate_files(model: PretrainedGan, arguments: Arguments) -> list[dict[str, Any]]:
    """Generate images and write each to a file; returns path, seed and label of each."""
    seeds = chosen_seeds(arguments)
    check_folder(arguments["out"])
    given = conditions(model, arguments, len(seeds))
    request = model.request(seeds=seeds, **given)
    labels = given["labels"] or [None] * len(seeds)
    images = model.images(request, arguments["batch_size"])
    files = []
    for name, image, seed, label in zip(_seed_names(seeds), images, seeds, labels, strict=True):
        path = arguments["out"] / f"{name}.png"
        write_png(path, image)
        files.append({"path": str(path), "seed": seed, "label": label})
    return files


def chosen_seeds(arguments: Arguments) -> list[int]:
    """The seeds of --seeds, or of --num and --seed; without these one per label or text."""
    num, listed = arguments["num"], arguments["seeds"]
    num_conditions = max(len(arguments[name]) for name in ("labels", "attributes", "texts"))
    if listed is None:
        offsets = resolve_seeds(num or max(1, num_conditions), None)
        return [arguments["seed"] + offset for offset in offsets]
    seeds = resolve_seeds(num, listed)
    if num_conditions < 2:
        return list(dict.fromkeys(seeds))  # a repeated seed would be the same file again
    return seeds * num_conditions if len(seeds) == 1 else seeds


def _seed_names(seeds: Sequence[int]) -> list[str]:
    """A file name for each seed; a repeated seed has its number."""
    seen: Counter[int] = Counter()
    names = []
    for seed in seeds:
        names.append(f"seed{seed:06d}" + (f"-{seen[seed]}" if seed in seen else ""))
        seen[seed] += 1
    return names


def translate_files(
    model: PretrainedGan, inputs: Sequence[Path], arguments: Arguments
) -> list[dict[str, Any]]:
    """Translate image files and write the results under the same names."""
    out, batch_size, options = (arguments[key] for key in ("out", "batch_size", "options"))
    check_folder(out)
    model.architecture.check_request(None, options)
    sources = list(_image_files(inputs))
    targets = [out / f"{name}.png" for name in _unique_names(sources)]
    written = {path.resolve() for path in targets}
    lost = [path for path in sources if path.resolve() in written]
    if lost:
        raise ConfigError(
            f"The results would overwrite {len(lost)} of the images that are translated, {lost[0]} "
            f"first. Give --out another folder."
        )
    files = []
    for start in range(0, len(sources), batch_size):
        part = slice(start, start + batch_size)
        images = [_open(path) for path in sources[part]]
        translated = model.translate(
            images,
            direction=arguments["direction"],
            seeds=range(start, start + len(images)),
            resize=arguments["resize"],
            batch_size=batch_size,
            **options,
        )
        for source, path, image in zip(sources[part], targets[part], translated, strict=True):
            write_png(path, image)
            files.append({"path": str(path), "source": str(source)})
    return files


def _metric(text: str) -> MetricChoice:
    """`kid`, or `kid:subset_size=100` with options, commas between several."""
    name, _, options = text.partition(":")
    pairs = [pair.strip() for pair in options.split(",") if pair.strip()]
    return MetricChoice(name=name, **parse_options(pairs, f"--metric {name}"))


def measure(model: PretrainedGan, arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Measure a model on all ranks; the records as JSON-ready mappings."""
    options = parse_options(arguments["extractor_option"], "--extractor-option")
    same = ("num_images", "num_real", "seed", "truncation", "batch_size")
    config = EvaluateConfig(
        metrics=tuple(map(_metric, arguments["metrics"])),
        extractor=ComponentChoice(name=arguments["extractor"], **options),
        **{key: arguments[key] for key in same},
    )
    model.architecture.check_request(config.truncation, {})
    runtime = Runtime(precision="fp32")
    model.to(runtime.device)

    def make(request: GenerateRequest) -> Tensor:
        return run_request(model.architecture, model.networks, request, config.batch_size)

    measured = MeasuredModel(
        make,
        model.spec,
        conditions=model.info.conditioning,
        directions=model.architecture.directions,
        seen_features=model.architecture.seen_features,
        nimg=model.info.nimg,
    )
    records = evaluate(measured, config, arguments["reference"], runtime, data=DataConfig())
    runtime.close()
    return [record.model_dump(mode="json") for record in records]


def _image_files(inputs: Sequence[Path]) -> Iterator[Path]:
    for path in inputs:
        if not path.is_dir():
            yield path
            continue
        found = sorted(p for p in path.rglob("*") if p.suffix.lower() in _SUFFIXES)
        if not found:
            suffixes = ", ".join(sorted(_SUFFIXES))
            raise DataError(f"{path} holds no image files ({suffixes}). Check the path.")
        yield from found


def _unique_names(paths: Sequence[Path]) -> list[str]:
    """File names without suffix; numbered where two inputs have the same."""
    count = Counter(path.stem for path in paths)
    return [
        path.stem if count[path.stem] == 1 else f"{path.stem}-{index:06d}"
        for index, path in enumerate(paths)
    ]


def _open(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            image.load()
            return image
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as err:
        raise DataError(f"{path} is not an image that can be read ({err}). Leave it out.") from err
