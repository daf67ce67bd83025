"""What the commands of `ganforge sample` share: check the output, load, sample, save."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ganforge.cli._load import Arguments, conditions, load_model
from ganforge.imaging.grids import check_size
from ganforge.inference.pretrained import PretrainedGan
from ganforge.inference.results import (
    Animation,
    ImageGrid,
    check_animation_file,
    check_grid_file,
)

Sampler = Callable[[PretrainedGan, dict[str, Any]], Any]
"""Calls a sampling method of a model with the conditions of the command."""


def save_grid(model: str, arguments: Arguments, sample: Sampler) -> Path:
    """Load the model, sample a grid and write it; what cannot be written is refused first."""
    out, scale = arguments["out"], arguments["scale"]
    check_grid_file(out, scale)
    loaded = load_model(model, arguments)
    _check_size(loaded, scale)
    grid: ImageGrid = sample(loaded, _all_conditions(loaded, arguments))
    return grid.save(out, scale=scale)


def save_animation(model: str, arguments: Arguments, sample: Sampler) -> list[Path]:
    """Like `save_grid`, for an animation and any number of files."""
    files, fps, scale = arguments["out"], arguments["fps"], arguments["scale"]
    for path in files:
        check_animation_file(path, fps, scale)
    loaded = load_model(model, arguments)
    has_grid = any(path.suffix.lower() == ".png" for path in files)
    num = max(len(arguments["seeds"]), len(arguments["labels"])) + arguments["loop"] - 1
    _check_size(loaded, scale, *((arguments["steps"] + 1, num) if has_grid else ()))
    animation: Animation = sample(loaded, _all_conditions(loaded, arguments))
    return [animation.save(path, fps=fps, scale=scale) for path in files]


def _all_conditions(model: PretrainedGan, arguments: Arguments) -> dict[str, Any]:
    return {**conditions(model, arguments), "batch_size": arguments["batch_size"]}


def _check_size(model: PretrainedGan, scale: int, columns: int = 1, rows: int = 1) -> None:
    """Refuse a picture that would be too large, before its images are generated."""
    check_size(columns * model.spec.width * scale, max(1, rows) * model.spec.height * scale)
