"""`ganforge new`."""

from pathlib import Path

import click

from ganforge.cli._options import FiniteRange


@click.command(epilog="Example: ganforge new photos --minutes 30 --run")
@click.argument("data", nargs=-1, required=True)
@click.option(
    "--out", type=click.Path(path_type=Path),
    help="Pipeline file to write. Default: the name of DATA.",
)  # fmt: skip
@click.option(
    "--resolution", type=click.IntRange(8, 1024),
    help="Side of the images, in pixels. Default: by the images, at most 64 on a CPU.",
)  # fmt: skip
@click.option("--architecture", help="E.g. stylegan2. Default: by the data and the machine.")
@click.option(
    "--minutes", type=FiniteRange(min=0, min_open=True), default=10, show_default=True,
    help="Length of the training.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace the file if it exists.")
@click.option("--run", "start", is_flag=True, help="Start the run.")
def new(
    data: tuple[str, ...],
    out: Path | None,
    resolution: int | None,
    architecture: str | None,
    minutes: float,
    overwrite: bool,
    start: bool,
) -> None:
    """Write a pipeline file for the images in DATA, after a look at them and at this machine.

    DATA is a folder of images (sub-folders become classes), a zip archive, a table with captions
    (.csv, .jsonl), a video, or two folders: the images to translate, and those to translate to.
    Folders with the same file names are pairs. With --architecture vid2vid, a folder of images
    holds the frames of a video. Any other source of `ganforge data prepare` works too.
    """
    from ganforge.starters.new import Wishes, new_pipeline

    wishes = Wishes(out, resolution, architecture, minutes, overwrite)
    written = new_pipeline(data, wishes, click.echo)
    click.echo(f"Wrote {written}.")
    if not start:
        click.echo(f"Next: ganforge run {written}")
        return
    from ganforge.pipeline.run import run_pipeline, set_up_logging

    set_up_logging()
    run_pipeline(str(written))
