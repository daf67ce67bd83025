"""`ganforge sample interpolate | mix | arithmetic | classes | nearest`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ganforge.cli import _shared

_seeds = click.option("--seeds", help="Single seeds and ranges, e.g. 3,10-19.")
_space = click.option("--space", help="Latent space, z or w. Default: w where the model has it.")
_scale = click.option("--scale", default=1, show_default=True, help="Enlarge each image so often.")


def _out(default: str | list[str], **settings: Any) -> Callable[..., Any]:
    path = click.Path(path_type=Path, dir_okay=False)
    return click.option("--out", default=default, show_default=True, type=path, **settings)


@click.group(epilog="Example: ganforge sample interpolate org/name --seeds 1,2,3 --out walk.gif")
def sample() -> None:
    """Walk between images, mix and add them, compare classes, look for copies."""


@sample.command(
    epilog="Example: ganforge sample interpolate org/name --seeds 1-4 --loop --out walk.mp4"
)
@_shared.model
@click.option("--seeds", required=True, help="Key frames: single seeds and ranges, e.g. 3,10-19.")
@click.option("--steps", default=30, show_default=True, help="Frames from one seed to the next.")
@_space
@click.option(
    "--path", type=click.Choice(["linear", "spherical"]), help="Default: spherical in z only."
)
@click.option("--loop", is_flag=True, help="Go back to the first seed; repeats without a jump.")
@click.option("--fps", default=30.0, show_default=True, help="Frames per second.")
@_out(["interpolation.png"], multiple=True, help=".png (a strip), .gif or .mp4; repeatable.")
@_scale
@_shared.conditions
@_shared.running
def interpolate(model: str, **arguments: Any) -> None:
    """Walk from seed to seed with MODEL: a strip, a GIF or an MP4.

    One --label (--attributes, --text) holds for all frames; several are one for each seed, and
    mix between two. A single seed with several walks through classes alone.
    """
    from ganforge.cli._sample import write_interpolation

    _report(write_interpolation(model, arguments), arguments)


@sample.command(
    epilog="Example: ganforge sample mix org/faces --rows 1-4 --columns 10-15 --layers 8-13"
)
@_shared.model
@click.option("--rows", required=True, help="Seeds of the coarse styles, e.g. 1-4.")
@click.option("--columns", required=True, help="Seeds of the fine styles.")
@click.option("--layers", help="Layers that take the column's, e.g. 8-13. Default: finer half.")
@_out("mix.png")
@_scale
@_shared.conditions
@_shared.running
def mix(model: str, **arguments: Any) -> None:
    """Draw a grid with MODEL whose rows share coarse styles and whose columns share fine ones."""
    from ganforge.cli._sample import write_mix

    _report(write_mix(model, arguments), arguments)


@sample.command(
    epilog="Example: ganforge sample arithmetic org/faces '1,2,3 - 4,5,6 + 7-9' --out sum.png"
)
@_shared.model
@click.argument("terms")
@_space
@_out("arithmetic.png")
@_scale
@_shared.conditions
@_shared.running
def arithmetic(model: str, terms: str, **arguments: Any) -> None:
    """Add and subtract latents of MODEL.

    TERMS are lists of seeds with + and - between them, the signs between spaces. Each list
    stands for its mean.
    """
    from ganforge.cli._sample import write_arithmetic

    _report(write_arithmetic(model, terms, arguments), arguments)


@sample.command(epilog="Example: ganforge sample classes org/name --num 10 --label cat --label dog")
@_shared.model
@click.option("--num", "-n", type=click.IntRange(min=1), help="Of each class. Default: 8.")
@_seeds
@click.option("--by", type=click.Choice(["row", "column"]), default="row", show_default=True)
@_out("classes.png")
@_scale
@_shared.conditions
@_shared.running
def classes(model: str, **arguments: Any) -> None:
    """Draw the classes of MODEL, or each --label, from the same seeds."""
    from ganforge.cli._sample import write_classes

    _report(write_classes(model, arguments), arguments)


@sample.command(
    epilog="Example: ganforge sample nearest runs/quickstart --reference runs/quickstart/shards"
)
@_shared.model
@click.option("--reference", required=True, help="Shards of the training images: folder or URL.")
@_seeds
@_shared.extractor
@click.option("--pixels-only", is_flag=True, help="Compare no features.")
@click.option("--num-real", type=click.IntRange(min=1), help="Training images. Default: all.")
@_out("nearest.png", help="PNG; the distances are written beside it as JSON.")
@_scale
@_shared.conditions
@_shared.running
def nearest(model: str, **arguments: Any) -> None:
    """Show samples of MODEL beside the training images nearest to them."""
    from ganforge.cli._sample import write_nearest

    _report(write_nearest(model, arguments), arguments)


def _report(paths: list[Path], arguments: dict[str, Any]) -> None:
    """Say what was written."""
    import json

    if arguments["as_json"]:
        click.echo(json.dumps({"paths": [str(path) for path in paths]}, indent=2))
    else:
        click.echo(f"Wrote {', '.join(str(path) for path in paths)}.")
