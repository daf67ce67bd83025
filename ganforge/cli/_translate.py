"""`ganforge translate`: images a batch at a time, and videos a few frames at a time."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from torch import Tensor

from ganforge.cli._files import Job, is_video, list_inputs, plan_jobs
from ganforge.cli._load import Arguments
from ganforge.errors import ConfigError, DataError
from ganforge.imaging.codec import Undecodable, image_size
from ganforge.imaging.images import to_pixels
from ganforge.imaging.save import check_folder, write_pixels
from ganforge.imaging.video import VIDEO_SUFFIXES
from ganforge.inference.clips import Progress, VideoSummary
from ganforge.inference.pretrained import PretrainedGan
from ganforge.inference.sizes import resolve_sizing
from ganforge.inference.source_images import SourceReader, source_reader
from ganforge.inference.translation import check_translates

_LISTED = 10


@dataclass
class Written:
    """The files that a command wrote, and those that it skipped."""

    files: list[dict[str, Any]] = field(default_factory=list)
    clips: list[VideoSummary] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)


def translate_files(model: PretrainedGan, inputs: Sequence[Path], arguments: Arguments) -> Written:
    """Translate the images and videos of files and folders, and write each under the same name.

    Raises:
        ConfigError: the model cannot do it, or a result would replace another file.
        DataError: files cannot be read, unless `skip_bad`.
    """
    check_translates(model.architecture)
    model.architecture.check_request(None, arguments["options"])
    listed = list_inputs(inputs, arguments["is_null"])
    clips, images = _plan(model, listed, arguments)
    written, batch_size = Written(), arguments["batch_size"]
    readable = _readable(model, images, arguments, written)
    for start in range(0, len(readable), batch_size):
        _translate_part(model, dict(readable[start : start + batch_size]), arguments, written)
    for job in clips:
        _translate_clip(model, job, arguments, written)
    return written


def _plan(
    model: PretrainedGan, inputs: Sequence[Path], arguments: Arguments
) -> tuple[list[Job], list[Job]]:
    """The clips and the images to translate.

    Raises:
        ConfigError: an option or an input has no meaning here.
    """
    out, is_video_model = arguments["out"], model.architecture.is_video
    if out.suffix.lower() in VIDEO_SUFFIXES:
        jobs = [Job(path, out) for path in inputs]
        if len(jobs) != 1 or not _is_clip(jobs[0]):
            raise ConfigError(
                f"--out {out} is a video, which is made of one video or of one folder of frames. "
                f"Give one of these, or a folder as --out."
            )
    else:
        check_folder(out)
        as_frames = arguments["frames"]
        jobs = plan_jobs(inputs, out, as_frames=as_frames, of_frames=is_video_model)
    clips = [job for job in jobs if _is_clip(job)]
    images = [job for job in jobs if not _is_clip(job)]
    if images and is_video_model:
        raise ConfigError(
            f"'{model.info.architecture}' translates video, but {images[0].source} is an image. "
            f"Give a video, or the folder of the frames."
        )
    for option, kind, there in (
        ("fps", "videos", clips),
        ("frames", "videos", clips),
        ("bit_depth", "images", images),
    ):
        if arguments[option] and not there:
            name = option.replace("_", "-")
            raise ConfigError(f"--{name} is for {kind}, but there are none. Leave it out.")
    return clips, images


def _is_clip(job: Job) -> bool:
    return job.source.is_dir() or is_video(job.source)


def _translate_clip(model: PretrainedGan, job: Job, arguments: Arguments, written: Written) -> None:
    same = ("direction", "size", "resize", "seed", "fps", "audio", "skip_bad", "derive")
    try:
        made = model.translate_video(
            job.source,
            job.target,
            chunk_frames=arguments["batch_size"],
            progress=_progress(job.source),
            **{name: arguments[name] for name in same},
            **arguments["options"],
        )
    except DataError as err:
        if not arguments["skip_bad"]:
            raise
        click.echo(f"Skipped: {err}", err=True)
        written.skipped.append(job.source)
        return
    written.clips.append(made)
    fields = {"frames": made.num_frames, "size": [made.height, made.width], "fps": str(made.fps)}
    written.files.append({"path": str(made.path), "source": str(job.source), **fields})


def _progress(source: Path) -> Progress:
    """A progress line on a terminal; nothing elsewhere."""

    def show(done: int, total: int | None) -> None:
        of = f" of {total}" if total else ""
        click.echo(f"\r{source}: frame {done}{of}", nl=done == total, err=True)

    return show if is_terminal() else lambda done, total: None


def is_terminal() -> bool:
    """Whether standard error is a terminal."""
    return sys.stderr.isatty()


def _readable(
    model: PretrainedGan, jobs: Sequence[Job], arguments: Arguments, written: Written
) -> list[tuple[int, Job]]:
    """The jobs, numbered, whose files have the header of an image that can be translated."""
    sizing = resolve_sizing(model.architecture, arguments["size"], arguments["resize"])
    is_derived = _reader(model, arguments).kind == "derived"
    faults: dict[Path, str] = {}
    for job in jobs:
        try:
            height, width = image_size(job.source)
        except Undecodable as err:
            faults[job.source] = str(err)
            continue
        if not is_derived:  # a derived source may have another size
            sizing.check(height, width, str(job.source))
    if faults and not arguments["skip_bad"]:
        raise DataError(_list_faults(faults, len(jobs)))
    for path, fault in faults.items():
        _skip(path, fault, written)
    return [(number, job) for number, job in enumerate(jobs) if job.source not in faults]


def _reader(model: PretrainedGan, arguments: Arguments) -> SourceReader:
    direction = arguments["direction"] or model.architecture.directions[0]
    return source_reader(model.architecture, direction, arguments["derive"])


def _list_faults(faults: dict[Path, str], num_files: int) -> str:
    shown = [f"  {path} {fault}" for path, fault in list(faults.items())[:_LISTED]]
    more = len(faults) - len(shown)
    shown += [f"  and {more} more"] if more else []
    lines = "\n".join(shown)
    return (
        f"{len(faults)} of {num_files} files cannot be read, so nothing was translated:\n{lines}\n"
        f"Leave them out, or pass --skip-bad to translate the others."
    )


def _translate_part(
    model: PretrainedGan, jobs: dict[int, Job], arguments: Arguments, written: Written
) -> None:
    images = dict(_read(_reader(model, arguments), jobs, arguments["skip_bad"], written))
    if not images:
        return
    results = model.translate(
        list(images.values()),
        direction=arguments["direction"],
        seeds=[arguments["seed"] + number for number in images],
        size=arguments["size"],
        resize=arguments["resize"],
        batch_size=arguments["batch_size"],
        output_type="pt",
        derive=arguments["derive"],
        **arguments["options"],
    )
    depth = int(arguments["bit_depth"] or model.spec.bit_depth)
    for number, img in zip(images, results, strict=True):
        job = jobs[number]
        write_pixels(job.target, to_pixels(img[None], depth)[0])
        written.files.append({"path": str(job.target), "source": str(job.source)})


def _read(
    reader: SourceReader, jobs: dict[int, Job], skip_bad: bool, written: Written
) -> Iterator[tuple[int, Tensor]]:
    for number, job in jobs.items():
        try:
            yield number, reader.read_file(job.source)
        except Undecodable as err:
            if not skip_bad:
                raise DataError(
                    f"{job.source} {err}. {len(written.files)} images were written before it. "
                    f"Leave it out, or pass --skip-bad to translate the others."
                ) from err
            _skip(job.source, str(err), written)


def _skip(path: Path, fault: str, written: Written) -> None:
    click.echo(f"Skipped: {path} {fault}.", err=True)
    written.skipped.append(path)
