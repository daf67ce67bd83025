"""`ganforge generate`, `translate` and `evaluate`: use a published model."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ganforge.cli import _shared

if TYPE_CHECKING:
    from ganforge.inference.pretrained import PretrainedGan


@click.command(
    epilog="Example: ganforge generate runs/quickstart/export --num 16 --seed 100 --out samples"
)
@_shared.model
@click.option("--num", "-n", type=click.IntRange(min=1), help="How many. Default: 1.")
@click.option("--seed", default=0, show_default=True, help="Of the first image; others follow.")
@click.option("--seeds", help="Instead: single seeds and ranges, e.g. 3,10-19.")
@_shared.conditions
@click.option("--out", default="samples", show_default=True, type=click.Path(path_type=Path))
@_shared.running
def generate(model: str, **arguments: Any) -> None:
    """Make images with MODEL, an export folder or owner/name on the Hub, and write PNG files.

    A seed gives the same image in any batch. One --label holds for all images; several are dealt
    to the images in turn; the same goes for --attributes and --text. Without --label each seed
    draws its class.
    """
    from ganforge.cli._generate import generate_files

    _report(generate_files(_load(model, arguments), arguments), arguments["as_json"])


@click.command(epilog="Example: ganforge translate org/horse2zebra photos/ --out zebras")
@_shared.model
@click.argument("images", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--direction", help="Of a model with several. Default: the first.")
@click.option("--resize", type=click.Choice(["crop", "pad", "stretch"]), default="crop")
@click.option("--out", default="translated", show_default=True, type=click.Path(path_type=Path))
@_shared.running
def translate(model: str, images: tuple[Path, ...], **arguments: Any) -> None:
    """Translate IMAGES (files or folders) with MODEL and write PNG files of the same names."""
    from ganforge.cli._generate import translate_files

    _report(translate_files(_load(model, arguments), images, arguments), arguments["as_json"])


@click.command(
    epilog="Example: ganforge evaluate org/name --reference shards -m fid -m is --num-images 10000"
)
@_shared.model
@click.option("--reference", required=True, help="Shards of the real images: folder or URL.")
@click.option(
    "--metric",
    "-m",
    "metrics",
    multiple=True,
    default=("fid",),
    show_default=True,
    metavar="NAME[:KEY=VALUE,...]",
    help="E.g. kid:subset_size=100; repeatable.",
)
@_shared.extractor
@click.option(
    "--num-images",
    default=50000,
    show_default=True,
    type=click.IntRange(min=2),
    help="Generated images.",
)
@click.option("--num-real", type=click.IntRange(min=2), help="Real images. Default: all.")
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Of the first image."
)
@click.option("--truncation", type=float)
@click.option(
    "--batch-size",
    default=64,
    show_default=True,
    type=click.IntRange(min=1),
    help="Images at a time on each rank.",
)
@_shared.revision
@_shared.offline
@_shared.as_json
def evaluate(model: str, **arguments: Any) -> None:
    """Measure MODEL against real images. Each number comes with its provenance (--json).

    On several processes: accelerate launch -m ganforge evaluate MODEL ...
    """
    from ganforge.cli._generate import measure

    records = measure(_load(model, arguments), arguments)
    if arguments["as_json"]:
        click.echo(json.dumps(records, indent=2))
        return
    for record in records:
        counts = f"{record['n_gen']} generated, {record['n_real']} real"
        seen = [record[key] for key in ("extractor", "direction") if record[key]]
        click.echo(f"{record['name']} {record['value']:.6g}  ({', '.join([counts, *seen])})")


def _load(model: str, arguments: dict[str, Any]) -> "PretrainedGan":
    from ganforge.inference.pretrained import PretrainedGan

    return PretrainedGan.from_pretrained(
        model,
        revision=arguments["revision"],
        device=arguments.get("device"),
        local_files_only=arguments["offline"],
    )


def _report(files: list[dict[str, Any]], as_json: bool) -> None:
    """Say what was written."""
    if as_json:
        click.echo(json.dumps(files, indent=2))
    else:
        click.echo(f"Wrote {len(files)} images to {Path(files[0]['path']).parent}.")
