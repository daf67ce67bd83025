"""`ganforge sample interpolate | mix | arithmetic | classes | nearest`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from ganforge.cli import _shared
from ganforge.cli._options import LAYERS, SEEDS

_space = click.option("--space", help="Latent space, z or w. Default: w where the model has it.")


def _out(default: str | list[str], **settings: Any) -> Callable[..., Any]:
    path = click.Path(path_type=Path, dir_okay=False)
    return click.option("--out", default=default, show_default=True, type=path, **settings)


@click.group(epilog="Example: ganforge sample interpolate org/name --seeds 1,2,3 --out walk.gif")
def sample() -> None:
    """Interpolate, mix styles, add latents, compare classes, find the nearest training images."""


@sample.command(
    epilog="Example: ganforge sample interpolate org/name --seeds 1-4 --loop --out walk.mp4"
)
@_shared.model
@click.option("--seeds", required=True, type=SEEDS, help="Keyframes, e.g. 3,10-19.")
@click.option("--steps", default=30, show_default=True, help="Frames from one seed to the next.")
@_space
@click.option(
    "--path", type=click.Choice(["linear", "spherical"]),
    help="Default: spherical in z, linear in w.",
)  # fmt: skip
@click.option("--loop", is_flag=True, help="Return to the first seed, without a jump.")
@click.option("--fps", default=30.0, show_default=True, help="Frames per second.")
@_out(["interpolation.png"], multiple=True, help=".png (a grid), .gif or .mp4; repeatable.")
@_shared.scale
@_shared.conditions
@_shared.running
def interpolate(
    model: str, seeds: list[int], steps: int, space: Any, path: Any, loop: bool, **arguments: Any
) -> None:
    """Interpolate from seed to seed with MODEL: a PNG grid, a GIF or an MP4.

    A single --label is the class of all frames; several are the classes of the seeds, and are
    interpolated too. The same holds for --attributes and --text. A single seed with several
    labels interpolates the classes alone.
    """
    _draw(
        model,
        arguments,
        lambda gan, more: gan.interpolate(
            seeds, steps=steps, space=space, path=path, loop=loop, **more
        ),
        grid=(steps + 1, max(1, max(len(seeds), len(arguments["labels"])) + loop - 1)),
    )


@sample.command(
    epilog="Example: ganforge sample mix org/faces --rows 1-4 --columns 10-15 --layers 8-13"
)
@_shared.model
@click.option("--rows", required=True, type=SEEDS, help="Seeds of the coarse styles, e.g. 1-4.")
@click.option("--columns", required=True, type=SEEDS, help="Seeds of the fine styles.")
@click.option("--layers", type=LAYERS, help="Fine layers, e.g. 8-13. Default: the finer half.")
@_out("mix.png")
@_shared.scale
@_shared.conditions
@_shared.running
def mix(model: str, rows: list[int], columns: list[int], layers: Any, **arguments: Any) -> None:
    """Mix styles with MODEL: rows share the coarse styles of a seed, columns the fine ones."""
    _draw(model, arguments, lambda gan, more: gan.mix_styles(rows, columns, layers=layers, **more))


@sample.command(
    epilog="Example: ganforge sample arithmetic org/faces '1,2,3 - 4,5,6 + 7-9' --out sum.png"
)
@_shared.model
@click.argument("terms")
@_space
@_out("arithmetic.png")
@_shared.scale
@_shared.conditions
@_shared.running
def arithmetic(model: str, terms: str, space: str | None, **arguments: Any) -> None:
    """Add and subtract latents of MODEL.

    TERMS are lists of seeds, joined by + and - between spaces. Each list stands for the mean of
    its latents.
    """
    _draw(model, arguments, lambda gan, more: gan.arithmetic(terms, space=space, **more))


@sample.command(epilog="Example: ganforge sample classes org/name --num 10 --label cat --label dog")
@_shared.model
@click.option("--num", "-n", type=click.IntRange(min=1), help="Images per class. Default: 8.")
@_shared.seeds
@click.option("--by", type=click.Choice(["row", "column"]), default="row", show_default=True)
@_out("classes.png")
@_shared.scale
@_shared.conditions
@_shared.running
def classes(model: str, num: int | None, seeds: Any, by: Any, **arguments: Any) -> None:
    """Draw every class of MODEL, or each --label, from the same seeds."""
    _draw(model, arguments, lambda gan, more: gan.class_grid(num, seeds=seeds, by=by, **more))


@sample.command(
    epilog="Example: ganforge sample nearest runs/quickstart --reference runs/quickstart/shards"
)
@_shared.model
@click.option("--reference", required=True, help="Shards of the training images: folder or URL.")
@_shared.seeds
@_shared.extractor
@click.option("--pixels-only", is_flag=True, help="Compare no features.")
@click.option(
    "--num-real", type=click.IntRange(min=1), help="Number of training images. Default: all."
)
@_out("nearest.png", help="PNG; the distances go to a JSON file beside it.")
@_shared.scale
@_shared.conditions
@_shared.running
def nearest(model: str, reference: str, seeds: Any, **arguments: Any) -> None:
    """Show samples of MODEL beside their nearest training images."""
    from ganforge.cli._options import parse_options

    _draw(
        model,
        arguments,
        lambda gan, more: gan.nearest(
            reference,
            seeds=seeds,
            extractor=None if arguments["pixels_only"] else arguments["extractor"],
            extractor_options=parse_options(arguments["extractor_option"], "--extractor-option"),
            num_real=arguments["num_real"],
            **more,
        ),
        also=[arguments["out"].with_suffix(".json")],
    )


def _draw(
    model: str,
    arguments: dict[str, Any],
    sample: Callable[[Any, dict[str, Any]], Any],
    grid: tuple[int, int] = (1, 1),
    also: Sequence[Path] = (),
) -> None:
    """Call `sample` with the model and the conditions, write the picture, and print the files.

    `grid` has the columns and rows of the picture, as far as they are known; the files `also` are
    written beside the picture.
    """
    import json

    from ganforge.cli._sample import save_samples

    paths = [str(path) for path in (*save_samples(model, arguments, sample, *grid), *also)]
    text = f"Wrote {', '.join(paths)}."
    click.echo(json.dumps({"paths": paths}, indent=2) if arguments["as_json"] else text)
