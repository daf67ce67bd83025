"""From the arguments of `generate`, `translate` and `evaluate` to calls of the library."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from yaml import YAMLError

from ganforge.batch import GenerateRequest
from ganforge.config import ComponentConfig, DataConfig, EvaluateConfig
from ganforge.data.loader import RealImages
from ganforge.errors import ConfigError, DataError
from ganforge.hub import PretrainedGan, save_images
from ganforge.hub.inference import run_request
from ganforge.images import from_uint8
from ganforge.metrics.evaluation import evaluate
from ganforge.training.runtime import Runtime

# Images in memory at one time, whatever their number.
_CHUNK = 256
_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif"}


def generate_files(model: PretrainedGan, arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Generate and write images; returns path, seed and label of each."""
    seeds = chosen_seeds(arguments["num"], arguments["seed"], arguments["seeds"])
    labels = arguments["labels"]
    files = []
    for start in range(0, len(seeds), _CHUNK):
        part = seeds[start : start + _CHUNK]
        dealt = [labels[(start + i) % len(labels)] for i in range(len(part))] if labels else None
        images = model.generate(
            seeds=part,
            labels=dealt,
            truncation=arguments["truncation"],
            batch_size=arguments["batch_size"],
            **parse_options(arguments["options"]),
        )
        paths = save_images(images, arguments["out"], [f"seed{seed:06d}" for seed in part])
        for path, seed, label in zip(paths, part, dealt or [None] * len(part), strict=True):
            files.append({"path": str(path), "seed": seed, "label": label})
    return files


def translate_files(
    model: PretrainedGan, inputs: Sequence[Path], arguments: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Translate image files and write the results under the same names."""
    sources = list(_image_files(inputs))
    names = _unique_names(sources)
    files = []
    for start in range(0, len(sources), _CHUNK):
        part = sources[start : start + _CHUNK]
        images = model.translate(
            [_open(path) for path in part],
            direction=arguments["direction"],
            seeds=range(start, start + len(part)),
            resize=arguments["resize"],
            batch_size=arguments["batch_size"],
            **parse_options(arguments["options"]),
        )
        paths = save_images(
            cast(list[Image.Image], images), arguments["out"], names[start : start + len(part)]
        )
        for path, source in zip(paths, part, strict=True):
            files.append({"path": str(path), "source": str(source)})
    return files


def measure(model: PretrainedGan, arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Measure a model on all ranks; the records as JSON-ready mappings."""
    config = EvaluateConfig(
        metrics=tuple(ComponentConfig(name=name) for name in arguments["metrics"]),
        extractor=ComponentConfig(name=arguments["extractor"]),
        num_images=arguments["num_images"],
        num_real=arguments["num_real"],
        seed=arguments["seed"],
        truncation=arguments["truncation"],
        batch_size=arguments["batch_size"],
    )
    model.architecture.check_request(config.truncation, {})
    runtime = Runtime(precision="fp32")
    model.to(runtime.device)
    data = DataConfig()
    directions = model.architecture.translates
    sources: RealImages | None = None
    if directions:
        field = directions[0].split("_to_")[0]
        sources = RealImages(data, arguments["reference"], field=field)

    def make(seeds: Sequence[int]) -> Tensor:
        request = GenerateRequest(seeds, runtime.device, truncation=config.truncation)
        if sources is not None:
            request.source = from_uint8(sources.batch([seed % len(sources) for seed in seeds]))
            request.options = {"direction": directions[0]}
        elif model.class_names:
            request.label = request.random_label(len(model.class_names))
        return run_request(model.architecture, model.networks, request, config.batch_size)

    records = evaluate(
        make, config, arguments["reference"], runtime, nimg=model.info.nimg, data=data
    )
    return [record.model_dump(mode="json") for record in records]


def chosen_seeds(num: int | None, first: int, listed: str | None) -> list[int]:
    """The seeds of --num and --seed, or those listed as "3,10-19".

    Raises:
        ConfigError: the list is not of that form, or its length differs from --num.
    """
    if listed is None:
        return list(range(first, first + (num or 1)))
    seeds: list[int] = []
    for part in listed.split(","):
        low, _, high = part.strip().partition("-")
        if not low.isdigit() or not (high or low).isdigit() or int(high or low) < int(low):
            raise ConfigError(
                f"--seeds {listed!r}: {part!r} is no seed and no range. Write e.g. 3,10-19."
            )
        seeds += range(int(low), int(high or low) + 1)
    if num is not None and num != len(seeds):
        raise ConfigError(
            f"--num {num}, but --seeds {listed!r} lists {len(seeds)}. Give only one of the two."
        )
    return seeds


def parse_options(pairs: Iterable[str]) -> dict[str, Any]:
    """Options given as key=value, with YAML values.

    Raises:
        ConfigError: one is not of that form.
    """
    options: dict[str, Any] = {}
    for pair in pairs:
        key, separator, text = pair.partition("=")
        if not separator or not key:
            raise ConfigError(f"--option {pair!r} is not KEY=VALUE.")
        try:
            parsed: Any = OmegaConf.to_container(OmegaConf.from_dotlist([f"value={text}"]))
        except (YAMLError, OmegaConfBaseException) as err:
            raise ConfigError(f"--option {pair!r}: the value is not YAML; quote it.") from err
        options[key] = parsed["value"]
    return options


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
    except UnidentifiedImageError as err:
        raise DataError(f"{path} is not an image that can be read. Leave it out.") from err
