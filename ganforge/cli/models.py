"""`ganforge generate`, `translate` and `evaluate`: use a published model."""

import json
from pathlib import Path
from typing import Any

import click

from ganforge.cli import _shared
from ganforge.cli._options import FIELD


@click.command(
    epilog="Example: ganforge generate runs/quickstart/export --num 16 --seed 100 --out samples"
)
@_shared.model
@click.option(
    "--num", "-n", type=click.IntRange(min=1),
    help="Number of images. Default: one per --label, --attributes or --text.",
)  # fmt: skip
@click.option(
    "--seed", default=0, show_default=True, help="Seed of the first image; others follow."
)
@_shared.seeds
@_shared.conditions
@click.option("--out", default="samples", show_default=True, type=click.Path(path_type=Path))
@_shared.running
def generate(model: str, **arguments: Any) -> None:
    """Generate images with MODEL, an export folder or owner/name on the Hub, as PNG files.

    A seed gives the same image in any batch. A single --label is the class of all images; several
    are used in turn, and so are --attributes and --text. Without --label, the class is drawn from
    the seed.
    """
    from ganforge.cli._generate import generate_files
    from ganforge.cli._load import load_model

    files = generate_files(load_model(model, arguments), arguments)
    text = f"Wrote {_shared.count(len(files), 'image')} to {arguments['out']}."
    click.echo(json.dumps(files, indent=2) if arguments["as_json"] else text)


@click.command(epilog="Example: ganforge translate org/horse2zebra photos/ clip.mp4 --out zebras")
@_shared.model
@click.argument(
    "inputs", nargs=-1, required=True,
    type=click.Path(exists=True, allow_dash=True, path_type=Path),
)  # fmt: skip
@click.option("--direction", help="Direction, if the model has several. Default: the first.")
@_shared.sizing
@click.option(
    "--tile", type=click.IntRange(min=1),
    help="Translate larger images in tiles of this side, which bounds the memory.",
)  # fmt: skip
@click.option(
    "--overlap", type=click.IntRange(min=0),
    help="Pixels in which neighboring tiles are blended. Default: 32.",
)  # fmt: skip
@click.option(
    "--field", "fields", multiple=True, metavar="NAME=FOLDER", type=FIELD,
    help="Further input of the model, e.g. instances=maps/: files named as the images; repeatable.",
)  # fmt: skip
@click.option(
    "--compare", type=click.Path(path_type=Path, dir_okay=False),
    help="Also draw the first 16 sources and outputs side by side, as this picture; of a video, "
    "all frames, as this video.",
)  # fmt: skip
@click.option(
    "--targets", type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the true images, named as the inputs, for --compare.",
)  # fmt: skip
@click.option(
    "--derive/--no-derive", default=True, show_default=True,
    help="Make the sources of a model of derived sources, e.g. edges, from the images.",
)  # fmt: skip
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(min=0),
    help="Seed of the first image and of each video, for models with noise.",
)  # fmt: skip
@click.option(
    "--bit-depth", type=click.Choice(["8", "16"]),
    help="Bits per channel of PNG files. Default: those of the training images.",
)  # fmt: skip
@click.option(
    "--fps", help="Frames per second of a folder of frames, e.g. 30000/1001. Default: 25.",
)  # fmt: skip
@click.option("--audio/--no-audio", default=True, show_default=True, help="Copy a video's audio.")
@click.option("--frames", is_flag=True, help="Write a video's frames as PNG files in a folder.")
@click.option("--skip-bad", is_flag=True, help="Skip files and frames that cannot be read.")
@click.option("-0", "--null", "is_null", is_flag=True, help="Paths on standard input end with NUL.")
@click.option("--out", default="translated", show_default=True, type=click.Path(path_type=Path))
@_shared.running
@click.pass_context
def translate(
    ctx: click.Context, /, model: str, inputs: tuple[Path, ...], **arguments: Any
) -> None:
    """Translate INPUTS with MODEL: images, videos, folders, or - for a list on standard input.

    Images become PNG files with the same names; folders keep their structure. Images and videos
    keep their size unless --size is given; videos also keep their frame times and audio. --out is a
    folder. For a single video or folder of frames it may be a .mp4, .mov or .mkv file.

    Files of --field and --targets lie at the same place below their folder as the result below
    --out. With --skip-bad, the exit code is 1 if a file was skipped.
    """
    from ganforge.cli._load import load_model
    from ganforge.cli._translate import translate_files

    with _shared.shown_log():
        written = translate_files(load_model(model, arguments), inputs, arguments)
    if arguments["as_json"]:
        click.echo(json.dumps(written.files, indent=2))
    else:
        click.echo("\n".join(written.lines(arguments)), nl=bool(written.files))
    if written.skipped:
        skipped = _shared.count(len(written.skipped), "file")
        click.echo(f"Skipped {skipped} that cannot be read.", err=True)
        ctx.exit(1)


@click.command(
    epilog="Example: ganforge evaluate org/name --reference shards -m fid -m is --num-images 10000"
)
@_shared.model
@click.option("--reference", required=True, help="Shards of the real images: folder or URL.")
@click.option(
    "--metric", "-m", "metrics", multiple=True, default=("fid",), show_default=True,
    metavar="NAME[:KEY=VALUE,...]", help="E.g. kid:subset_size=100; repeatable.",
)  # fmt: skip
@_shared.extractor
@click.option(
    "--num-images", default=50000, show_default=True, type=click.IntRange(min=2),
    help="Number of generated images.",
)  # fmt: skip
@click.option("--num-real", type=click.IntRange(min=2), help="Number of real images. Default: all.")
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(min=0),
    help="Seed of the first image.",
)  # fmt: skip
@click.option(
    "--crop", is_flag=True,
    help="Crop the middle of larger real images, for a model that was trained on crops.",
)  # fmt: skip
@_shared.truncation
@click.option(
    "--batch-size", default=64, show_default=True, type=click.IntRange(min=1),
    help="Images per batch on each rank.",
)  # fmt: skip
@_shared.revision
@_shared.offline
@_shared.as_json
def evaluate(model: str, **arguments: Any) -> None:
    """Measure MODEL against real images. --json prints the provenance of each number.

    With several processes: accelerate launch -m ganforge evaluate MODEL ...
    """
    from ganforge.cli._generate import measure
    from ganforge.cli._load import load_model

    records = measure(load_model(model, arguments), arguments)
    if arguments["as_json"]:
        click.echo(json.dumps(records, indent=2))
        return
    for record in records:
        counts = f"{record['n_gen']} generated, {record['n_real']} real"
        seen = [record[key] for key in ("extractor", "direction") if record[key]]
        click.echo(f"{record['name']} {record['value']:.6g}  ({', '.join([counts, *seen])})")
