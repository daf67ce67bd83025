"""`ganforge data prepare | embed | inspect | derive | pose-normalize | verify`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ganforge.cli import _shared

if TYPE_CHECKING:
    from ganforge.data.inspect import DatasetReport
    from ganforge.data.shards.index import DatasetIndex

_MOST_SIZES = 8


@click.group(epilog="Example: ganforge data inspect photos")
def data() -> None:
    """Prepare, inspect and verify data sets."""


@data.command(epilog="Example: ganforge data prepare photos shards resolution=64 channels=3")
@click.argument("source")
@click.argument("out", type=click.Path(path_type=Path))
@click.argument("settings", nargs=-1)
@click.option(
    "--workers", type=click.IntRange(min=0), default=1, show_default=True,
    help="Worker processes; 0 uses the main process.",
)  # fmt: skip
@click.option("--seed", default=0, show_default=True, help="Seed of the shuffle.")
@click.option(
    "--validation", type=click.Path(path_type=Path),
    help="Folder for validation data, with validation.num_samples=N or a validation.source in "
    "SETTINGS. Default: OUT-validation.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace an existing data set.")
@_shared.as_json
@_shared.shown_log()
def prepare(
    source: str,
    out: Path,
    settings: tuple[str, ...],
    validation: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Write the images of SOURCE as shards into the folder OUT.

    SOURCE is a folder (class sub-folders become labels), a video or a folder of videos, a zip
    archive, a manifest (.csv, .jsonl), IDX images, tar files or their URL, org/name on the Hub, or
    a source from `ganforge plugins list`. SETTINGS are keys of the data section of a pipeline file;
    options of the source begin with source., e.g.: prepare pairs shards source.source=maps
    source.target=photos fields.source.kind=labels
    """
    from ganforge.config.load import data_section
    from ganforge.data.prepare.guess_source import guess_source
    from ganforge.data.prepare.source_to_shards import prepare as prepare_shards
    from ganforge.data.shards.index import load_index
    from ganforge.registry.plugins import get_registry

    guessed = [f"source.{key}={json.dumps(value)}" for key, value in guess_source(source).items()]
    section = data_section([*guessed, *settings], get_registry().options_model)
    held_out = validation or Path(f"{out}-validation")
    index = prepare_shards(section, out, validation=held_out, progress=not as_json, **options)
    written = {out: index}
    if section.validation is not None and section.validation.shards is None:
        written[held_out] = load_index(str(held_out))
    _report_written(written, as_json)


def _report_written(written: "dict[Path, DatasetIndex]", as_json: bool) -> None:
    """Say what was written: the training data and, where there are some, the validation data."""
    reports = [
        {
            "path": str(path),
            "num_samples": {stream: index.num_samples(stream) for stream in index.streams},
            "digest": index.digest,
        }
        for path, index in written.items()
    ]
    if as_json:
        more = {"validation": reports[1]} if len(reports) > 1 else {}
        click.echo(json.dumps({**reports[0], **more}))
        return
    for path, index in written.items():
        click.echo(f"Wrote {sum(map(index.num_samples, index.streams))} samples to {path}.")


@data.command(
    epilog="Example: ganforge data embed shards shards-text --encoder word_vectors path=words.txt"
)
@click.argument("location")
@click.argument("out", type=click.Path(path_type=Path))
@click.argument("settings", nargs=-1)
@click.option("--encoder", required=True, help="Text encoder, from `ganforge plugins list`.")
@click.option("--overwrite", is_flag=True, help="Replace an existing data set.")
@_shared.as_json
def embed(
    location: str, out: Path, settings: tuple[str, ...], encoder: str, as_json: bool, **options: Any
) -> None:
    """Embed the captions of the shards at LOCATION; write new shards to the folder OUT.

    SETTINGS are options of the encoder. Set data.shards to OUT to train on the result. With
    --overwrite, OUT may be LOCATION.
    """
    from ganforge.cli._options import parse_options
    from ganforge.config.choices import ComponentChoice
    from ganforge.data.prepare.embed_captions import embed as embed_shards

    config = ComponentChoice(name=encoder, **parse_options(settings, "SETTINGS:"))
    index = embed_shards(location, out, config, progress=not as_json, **options)
    spec, made = index.image_spec, index.image_spec.text_encoding
    if as_json:
        details = {"size": spec.text_dim, "revision": made.revision if made else ""}
        click.echo(json.dumps({"path": str(out), "digest": index.digest, **details}))
    else:
        click.echo(f"Embedded the captions with {encoder} ({spec.text_dim} numbers each): {out}.")


@data.command(epilog="Example: ganforge data inspect photos --contact-sheet sheet.png")
@click.argument("location")
@click.option(
    "--contact-sheet", type=click.Path(path_type=Path),
    help="Write the first images to this PNG file.",
)  # fmt: skip
@click.option(
    "--max-samples", type=click.IntRange(min=1),
    help="Samples of each stream to read. Default: all.",
)  # fmt: skip
@_shared.as_json
@_shared.shown_log()
def inspect(location: str, as_json: bool, **options: Any) -> None:
    """Report image sizes, classes and damaged files of LOCATION.

    LOCATION is a folder or URL of shards; a pipeline file whose source is inspected; or what
    `data prepare` takes: a folder, zip, tar or manifest of images, ...
    """
    from ganforge.config.load import load_pipeline
    from ganforge.data.inspect import inspect as inspect_data

    is_pipeline = Path(location).suffix in (".yaml", ".yml")
    report = inspect_data(load_pipeline(location).data if is_pipeline else location, **options)
    click.echo(json.dumps(report.to_dict(), indent=2) if as_json else _describe(report))


@data.command(
    epilog="Example: ganforge data derive photos sheet.png -d edges -d '{name: edges, sigma: 2}'"
)
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--derive", "-d", "choices", multiple=True, required=True, metavar="DERIVATION",
    help="As data.derive in a pipeline file: a name, or {name: NAME, KEY: VALUE}; repeatable.",
)  # fmt: skip
@click.option(
    "--resolution", "side", type=click.IntRange(min=1, max=1024), default=256, show_default=True,
    help="Side of the images, in pixels, as data.resolution.",
)  # fmt: skip
@click.option(
    "--num-images", "count", type=click.IntRange(min=1), default=4, show_default=True,
    help="Number of images.",
)  # fmt: skip
def derive(folder: Path, out: Path, choices: tuple[str, ...], **options: Any) -> None:
    """Show sources that derivations make of the images in FOLDER, in the PNG file OUT."""
    from ganforge.config.load import data_section
    from ganforge.data.derivation_sheet import derivation_sheet
    from ganforge.imaging.save import write_png
    from ganforge.registry.plugins import get_registry

    models = get_registry().options_model
    chosen = [data_section([f"derive={text}"], models).derive for text in choices]
    sheet = derivation_sheet(folder, [choice for choice in chosen if choice], **options)
    write_png(out, sheet)
    click.echo(f"Wrote {out}.")


@data.command(
    name="pose-normalize",
    epilog="Example: ganforge data pose-normalize other.json dance.json fitted.json "
    "--frame-size 720 1280",
)
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.argument("target", type=click.Path(exists=True, path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--frame-size", type=click.IntRange(min=1), nargs=2, metavar="HEIGHT WIDTH",
    help="Size of the frames of TARGET, in pixels, for OUT. Default: as in its file.",
)  # fmt: skip
def pose_normalize(
    source: Path, target: Path, out: Path, frame_size: tuple[int, int] | None
) -> None:
    """Fit the poses in SOURCE to the place and height of the person in TARGET; write OUT (.json).

    SOURCE and TARGET are files of keypoints, or folders of OpenPose's files. TARGET are those that
    the model was trained on; it can then translate OUT.
    """
    from dataclasses import replace

    from ganforge.data.keypoints import read_poses, write_poses
    from ganforge.data.pose_normalization import normalize_poses
    from ganforge.imaging.save import check_folder

    check_folder(out.parent)
    with _shared.shown_log():
        given, wanted = read_poses(source), read_poses(target)
    fitted = normalize_poses(given, wanted, (source, target))
    write_poses(out, replace(fitted, frame_size=frame_size or wanted.frame_size))
    click.echo(f"Wrote the poses of {len(fitted)} frames to {out}.")


@data.command(epilog="Example: ganforge data verify shards")
@click.argument("location")
@click.option(
    "--hashes/--no-hashes", default=True, show_default=True,
    help="Read every byte, or check sizes only (remote: the first bytes).",
)  # fmt: skip
@_shared.as_json
@click.pass_context
def verify(ctx: click.Context, location: str, hashes: bool, as_json: bool) -> None:
    """Check the shards at LOCATION against their index. Exit code 1 if one is damaged."""
    from dataclasses import asdict

    from ganforge.data.shards.verify import verify_shards

    report = verify_shards(location, hashes=hashes)
    if as_json:
        click.echo(json.dumps({**asdict(report), "is_sound": report.is_sound}, indent=2))
    else:
        for name in report.repaired:
            click.echo(f"Repaired {name}.")
        for problem in report.problems:
            click.echo(f"Damaged: {problem}")
        sound = report.num_shards - len(report.problems)
        click.echo(
            f"{sound} of {report.num_shards} shards are sound: {report.num_samples} samples."
        )
    if not report.is_sound:
        ctx.exit(1)


def _describe(report: "DatasetReport") -> str:
    """The report as text."""
    lines = [f"data set  {report.location}"]
    lines += [f"samples   {count} ({stream})" for stream, count in report.num_samples.items()]
    shown = list(report.sizes.items())[:_MOST_SIZES]
    lines += [f"size      {size}: {count} images" for size, count in shown]
    if rest := len(report.sizes) - len(shown):
        lines.append(f"size      {rest} further sizes (--json lists all)")
    if report.num_transparent:
        lines.append(f"alpha     {report.num_transparent} images have transparent pixels")
    if report.num_duplicates:
        lines.append(f"equal     {report.num_duplicates} images repeat an earlier one")
    lines += [f"class     {name}: {count}" for name, count in report.class_counts.items()]
    if report.label_entropy is not None:
        lines.append(f"labels    entropy {report.label_entropy:.3f} of the possible")
    if report.digest:
        lines.append(f"digest    {report.digest}")
    if report.contact_sheet:
        lines.append(f"picture   {report.contact_sheet}")
    lines += [f"left out  {files}" for files in report.left_out]
    lines += [f"BAD       {fault}" for fault in report.bad]
    if rest := report.num_bad - len(report.bad):
        lines.append(f"BAD       {rest} more")
    lines += [f"WARNING   {warning}" for warning in report.warnings]
    return "\n".join(lines)
