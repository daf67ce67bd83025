"""What the commands of `ganforge sample` share: check the output, load, sample, save."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ganforge.cli._load import Arguments, conditions, load_model
from ganforge.imaging.grids import check_size
from ganforge.inference.pretrained import PretrainedGan
from ganforge.inference.results import check_animation_file, check_grid_file


def save_samples(
    model: str,
    arguments: Arguments,
    sample: Callable[[PretrainedGan, dict[str, Any]], Any],
    columns: int,
    rows: int,
) -> list[Path]:
    """Load the model, sample, and write each file; refuse first what could not be written.

    `sample` makes an `Animation` when the command has `fps`, else an `ImageGrid`. The columns and
    rows of the picture are given as far as they are known.
    """
    out, scale = arguments["out"], arguments["scale"]
    files: list[Path] = [out] if isinstance(out, Path) else list(out)
    settings = {key: arguments[key] for key in ("scale", "fps") if key in arguments}
    for path in files:
        (check_animation_file if "fps" in settings else check_grid_file)(path, **settings)
    loaded = load_model(model, arguments)
    if not any(path.suffix.lower() == ".png" for path in files):
        columns = rows = 1
    check_size(columns * loaded.spec.width * scale, rows * loaded.spec.height * scale)
    given = {**conditions(loaded, arguments), "batch_size": arguments["batch_size"]}
    result = sample(loaded, given)
    return [result.save(path, **settings) for path in files]
