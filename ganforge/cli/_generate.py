"""From the arguments of `generate`, `translate` and `evaluate` to calls of the library."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from PIL import Image
from torch import Tensor

from ganforge.cli._options import own_options, parse_options
from ganforge.config.choices import ComponentChoice
from ganforge.config.models import DataConfig, EvaluateConfig, MetricChoice
from ganforge.errors import ConfigError, DataError
from ganforge.imaging.save import check_folder, save_images
from ganforge.inference.batches import run_request
from ganforge.inference.pretrained import PretrainedGan
from ganforge.inference.prompts import ENCODER_OPTION
from ganforge.inference.requests import check_count, parse_seeds
from ganforge.interfaces.generation import GenerateRequest
from ganforge.metrics.evaluation import evaluate
from ganforge.metrics.requests import MeasuredModel
from ganforge.training.runtime import Runtime

# Images in memory at one time, whatever their number.
_CHUNK = 256
_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif"}


def generate_files(model: PretrainedGan, arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Generate and write images; returns path, seed and label of each."""
    labels, texts, named = arguments["labels"], arguments["texts"], arguments["attributes"]
    num = arguments["num"] or (len(texts) if texts and arguments["seeds"] is None else None)
    seeds = chosen_seeds(num, arguments["seed"], arguments["seeds"])
    if all(len(values) < 2 for values in (labels, texts, named)):
        seeds = list(dict.fromkeys(seeds))  # a repeated seed would be the same file again
    names = _seed_names(seeds)
    check_folder(arguments["out"])
    options = own_options(model.architecture, arguments)
    if arguments["text_encoder"]:
        options[ENCODER_OPTION] = parse_options(arguments["text_encoder"], "--text-encoder")
    files = []
    for start in range(0, len(seeds), _CHUNK):
        part = seeds[start : start + _CHUNK]
        dealt = _dealt(labels, start, len(part))
        for name, values in (("text", texts), ("attributes", named)):
            if values:
                options[name] = _dealt(values, start, len(part))
        images = model.generate(
            seeds=part,
            labels=dealt,
            truncation=arguments["truncation"],
            batch_size=arguments["batch_size"],
            **options,
        )
        paths = save_images(images, arguments["out"], names[start : start + len(part)])
        shown = [None] * len(part) if dealt is None else dealt
        for path, seed, label in zip(paths, part, shown, strict=True):
            files.append({"path": str(path), "seed": seed, "label": label})
    return files


def _seed_names(seeds: Sequence[int]) -> list[str]:
    """A file name for each seed; a repeated one, of another label or text, has its number."""
    seen: Counter[int] = Counter()
    names = []
    for seed in seeds:
        names.append(f"seed{seed:06d}" + (f"-{seen[seed]}" if seed in seen else ""))
        seen[seed] += 1
    return names


def _dealt(values: Sequence[str], start: int, count: int) -> list[str] | None:
    """The values of images `start` and on, in turn; None when there are no values."""
    return [values[(start + i) % len(values)] for i in range(count)] if values else None


def translate_files(
    model: PretrainedGan, inputs: Sequence[Path], arguments: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Translate image files and write the results under the same names."""
    check_folder(arguments["out"])
    options = own_options(model.architecture, arguments)
    sources = list(_image_files(inputs))
    names = _unique_names(sources)
    targets = {(arguments["out"] / f"{name}.png").resolve() for name in names}
    lost = [path for path in sources if path.resolve() in targets]
    if lost:
        raise ConfigError(
            f"The results would overwrite {len(lost)} of the images that are translated, {lost[0]} "
            f"first. Give --out another folder."
        )
    files = []
    for start in range(0, len(sources), _CHUNK):
        part = sources[start : start + _CHUNK]
        images = model.translate(
            [_open(path) for path in part],
            direction=arguments["direction"],
            seeds=range(start, start + len(part)),
            resize=arguments["resize"],
            batch_size=arguments["batch_size"],
            **options,
        )
        paths = save_images(
            cast(list[Image.Image], images), arguments["out"], names[start : start + len(part)]
        )
        for path, source in zip(paths, part, strict=True):
            files.append({"path": str(path), "source": str(source)})
    return files


def _metric(text: str) -> MetricChoice:
    """`kid`, or `kid:subset_size=100` with options, commas between several."""
    name, _, options = text.partition(":")
    pairs = [pair.strip() for pair in options.split(",") if pair.strip()]
    return MetricChoice(name=name, **parse_options(pairs, f"--metric {name}"))


def measure(model: PretrainedGan, arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Measure a model on all ranks; the records as JSON-ready mappings."""
    config = EvaluateConfig(
        metrics=tuple(map(_metric, arguments["metrics"])),
        extractor=ComponentChoice(
            name=arguments["extractor"],
            **parse_options(arguments["extractor_option"], "--extractor-option"),
        ),
        num_images=arguments["num_images"],
        num_real=arguments["num_real"],
        seed=arguments["seed"],
        truncation=arguments["truncation"],
        batch_size=arguments["batch_size"],
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
        translates=model.architecture.translates,
        seen_features=model.architecture.seen_features,
        nimg=model.info.nimg,
    )
    records = evaluate(measured, config, arguments["reference"], runtime, data=DataConfig())
    runtime.close()
    return [record.model_dump(mode="json") for record in records]


def chosen_seeds(num: int | None, first: int, listed: str | None) -> list[int]:
    """The seeds of --num and --seed, or those listed as "3,10-19".

    Raises:
        ConfigError: the list is not of that form or too long, or its length differs from --num.
    """
    check_count(num or 1, "--num")
    if listed is None:
        return list(range(first, first + (num or 1)))
    seeds = parse_seeds(listed)
    if num is not None and num != len(seeds):
        raise ConfigError(
            f"--num {num}, but --seeds {listed!r} lists {len(seeds)}. Give only one of the two."
        )
    return seeds


def _image_files(inputs: Sequence[Path]) -> Iterator[Path]:
    for path in inputs:
        if not path.is_dir():
            yield path
            continue
        found = sorted(p for p in path.rglob("*") if p.suffix.lower() in _SUFFIXES)
        if not found:
            raise DataError(
                f"{path} holds no image files ({', '.join(sorted(_SUFFIXES))}). Check the path."
            )
        yield from found


def _unique_names(paths: Sequence[Path]) -> list[str]:
    """File names without suffix; numbered where two inputs have the same."""
    stems = [path.stem for path in paths]
    return [
        stem if stems.count(stem) == 1 else f"{stem}-{index:06d}"
        for index, stem in enumerate(stems)
    ]


def _open(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            image.load()
            return image
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as err:
        raise DataError(f"{path} is not an image that can be read ({err}). Leave it out.") from err
