"""From the arguments of `ganforge sample` to calls of the library."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ganforge.cli._options import own_options, parse_options
from ganforge.errors import ConfigError
from ganforge.imaging.animation import check_animation
from ganforge.imaging.grids import check_size
from ganforge.imaging.save import check_folder
from ganforge.inference.pretrained import PretrainedGan
from ganforge.inference.requests import parse_seeds
from ganforge.inference.results import check_png, check_scale

Arguments = Mapping[str, Any]


def _load(model: str, arguments: Arguments) -> PretrainedGan:
    """The model that a command names; its images can be drawn at the scale asked for."""
    loaded = PretrainedGan.from_pretrained(
        model,
        revision=arguments["revision"],
        device=arguments["device"],
        local_files_only=arguments["offline"],
    )
    _check_cells(loaded, arguments, columns=1, rows=1)
    return loaded


def _check_cells(model: PretrainedGan, arguments: Arguments, *, columns: int, rows: int) -> None:
    """Refuse a picture that would be too large, before its images are made."""
    spec, scale = model.spec, arguments["scale"]
    check_size(columns * spec.width * scale, rows * spec.height * scale)


def write_interpolation(model: str, arguments: Arguments) -> list[Path]:
    """Interpolate, and write each file asked for."""
    check_scale(arguments["scale"])
    for path in arguments["out"]:
        check_animation(path, arguments["fps"])
        check_folder(path.parent)
    seeds = _seeds(arguments, "seeds") or []
    loaded = _load(model, arguments)
    if any(path.suffix.lower() == ".png" for path in arguments["out"]):
        keys = max(len(seeds), len(arguments["labels"])) + arguments["loop"] - 1
        _check_cells(loaded, arguments, columns=arguments["steps"] + 1, rows=max(1, keys))
    film = loaded.interpolate(
        seeds,
        steps=arguments["steps"],
        space=arguments["space"],
        path=arguments["path"],
        loop=arguments["loop"],
        **_conditions(loaded, arguments),
    )
    fps, scale = arguments["fps"], arguments["scale"]
    return [film.save(path, fps=fps, scale=scale) for path in arguments["out"]]


def write_mix(model: str, arguments: Arguments) -> list[Path]:
    """Mix styles, and write the grid."""
    _check_picture(arguments)
    loaded = _load(model, arguments)
    sheet = loaded.mix_styles(
        _seeds(arguments, "rows") or [],
        _seeds(arguments, "columns") or [],
        layers=_layers(arguments["layers"]),
        **_conditions(loaded, arguments),
    )
    return [sheet.save(arguments["out"], scale=arguments["scale"])]


def write_arithmetic(model: str, terms: str, arguments: Arguments) -> list[Path]:
    """Add latents, and write the picture of terms and result."""
    _check_picture(arguments)
    loaded = _load(model, arguments)
    sheet = loaded.arithmetic(terms, space=arguments["space"], **_conditions(loaded, arguments))
    return [sheet.save(arguments["out"], scale=arguments["scale"])]


def write_classes(model: str, arguments: Arguments) -> list[Path]:
    """Write a grid of classes."""
    _check_picture(arguments)
    loaded = _load(model, arguments)
    conditions = {**_conditions(loaded, arguments), "labels": list(arguments["labels"]) or None}
    sheet = loaded.class_grid(
        arguments["num"], seeds=_seeds(arguments, "seeds"), by=arguments["by"], **conditions
    )
    return [sheet.save(arguments["out"], scale=arguments["scale"])]


def write_nearest(model: str, arguments: Arguments) -> list[Path]:
    """Write samples with their neighbours, and the distances."""
    _check_picture(arguments)
    loaded = _load(model, arguments)
    sheet = loaded.nearest(
        arguments["reference"],
        seeds=_seeds(arguments, "seeds"),
        extractor=None if arguments["pixels_only"] else arguments["extractor"],
        extractor_options=parse_options(arguments["extractor_option"], "--extractor-option"),
        num_real=arguments["num_real"],
        **_conditions(loaded, arguments),
    )
    path = sheet.save(arguments["out"], scale=arguments["scale"])
    return [path, path.with_suffix(".json")]


def _conditions(model: PretrainedGan, arguments: Arguments) -> dict[str, Any]:
    """What every method of the model takes."""
    options = own_options(model.architecture, arguments)
    for name, key in (("attributes", "attributes"), ("text", "texts")):
        if arguments[key]:
            options[name] = _one_or_all(arguments[key])
    if arguments["text_encoder"]:
        options["text_encoder"] = parse_options(arguments["text_encoder"], "--text-encoder")
    return {
        "labels": _one_or_all(arguments["labels"]),
        "truncation": arguments["truncation"],
        "batch_size": arguments["batch_size"],
        **options,
    }


def _one_or_all(values: Sequence[str]) -> str | list[str] | None:
    return values[0] if len(values) == 1 else list(values) or None


def _seeds(arguments: Arguments, name: str) -> list[int] | None:
    text = arguments[name]
    return None if text is None else parse_seeds(text, f"--{name}")


def _layers(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    first, dash, last = text.partition("-")
    last = last if dash else first
    if not all(part.isdecimal() and len(part) < 10 for part in (first, last)):
        raise ConfigError(f"--layers {text!r} is no range of layers. Write e.g. 8-13.")
    return int(first), int(last)


def _check_picture(arguments: Arguments) -> None:
    """Refuse what cannot be written, before a model is loaded."""
    check_png(arguments["out"])
    check_folder(arguments["out"].parent)
    check_scale(arguments["scale"])
