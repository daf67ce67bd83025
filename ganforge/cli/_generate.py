"""From the arguments of `generate` and `evaluate` to calls of the library."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from ganforge.cli._load import Arguments, conditions
from ganforge.cli._options import parse_options
from ganforge.config.choices import ComponentChoice
from ganforge.config.data import ClipConfig, CropConfig, DataConfig
from ganforge.config.models import EvaluateConfig, MetricChoice
from ganforge.data.shards.index import load_index
from ganforge.errors import ConfigError
from ganforge.imaging.save import check_folder, write_png
from ganforge.inference.generate import run_request
from ganforge.inference.pretrained import PretrainedGan
from ganforge.inference.seeds import resolve_seeds
from ganforge.interfaces.generation import GenerateRequest
from ganforge.metrics.evaluation import evaluate
from ganforge.metrics.requests import MeasuredModel
from ganforge.training.runtime import Runtime


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
    reference = arguments["reference"]
    data = _reading(model, reference, arguments["crop"])
    records = evaluate(measured, config, reference, runtime, data=data)
    runtime.close()
    return [record.model_dump(mode="json") for record in records]


def _reading(model: PretrainedGan, reference: str, crop: bool) -> DataConfig:
    """How to read the reference: whole images or their middle in the size of the model.

    Of clips, as many frames as the model was trained on.
    """
    stored, size = load_index(reference).image_spec, (model.spec.height, model.spec.width)
    found = (stored.height, stored.width)
    frames = model.spec.num_frames  # of the window that the model was trained on
    clip = ClipConfig(num_frames=frames) if frames > 1 else None
    if found == size:
        return DataConfig(clip=clip)
    where = f"The images at {reference} are {found[0]}x{found[1]}, those of the model {size[0]}x"
    where += f"{size[1]} (height x width)."
    if found[0] < size[0] or found[1] < size[1]:
        raise ConfigError(f"{where} Prepare the reference in the size of the model.")
    if not crop:
        raise ConfigError(
            f"{where} Pass --crop to measure the middle of each, for a model that was trained on "
            f"crops, or prepare the reference in the size of the model."
        )
    return DataConfig(resolution=size, crop=CropConfig.model_validate({"from": found}), clip=clip)
