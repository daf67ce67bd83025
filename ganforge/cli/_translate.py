"""`ganforge translate`: reads files, translates them a batch at a time, and writes the results."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from torch import Tensor

from ganforge.cli._files import Job, list_inputs, plan_jobs
from ganforge.cli._load import Arguments
from ganforge.errors import DataError
from ganforge.imaging.codec import Undecodable, decode_image, image_size
from ganforge.imaging.images import from_pixels, to_pixels
from ganforge.imaging.save import check_folder, write_pixels
from ganforge.inference.pretrained import PretrainedGan
from ganforge.inference.sizes import resolve_sizing
from ganforge.inference.translation import bit_depth, check_translates

_LISTED = 10


@dataclass
class Written:
    """What came of a command: the files it wrote, and those it could not read."""

    files: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)


def translate_files(model: PretrainedGan, inputs: Sequence[Path], arguments: Arguments) -> Written:
    """Translate the images of files and folders, and write each under the same name.

    Raises:
        ConfigError: the model cannot do it, or a result would replace another file.
        DataError: files cannot be read, unless `skip_bad`.
    """
    check_translates(model.architecture)
    check_folder(arguments["out"])
    model.architecture.check_request(None, arguments["options"])
    listed = list_inputs(inputs, arguments["is_null"])
    written, batch_size = Written(), arguments["batch_size"]
    jobs = _readable(model, plan_jobs(listed, arguments["out"]), arguments, written)
    for start in range(0, len(jobs), batch_size):
        _translate_part(model, dict(jobs[start : start + batch_size]), arguments, written)
    return written


def _readable(
    model: PretrainedGan, jobs: Sequence[Job], arguments: Arguments, written: Written
) -> list[tuple[int, Job]]:
    """The jobs, numbered, whose files have the header of an image that can be translated."""
    sizing = resolve_sizing(model.architecture, arguments["size"], arguments["resize"])
    faults: dict[Path, str] = {}
    for job in jobs:
        try:
            height, width = image_size(job.source)
        except Undecodable as err:
            faults[job.source] = str(err)
            continue
        sizing.check(height, width, str(job.source))
    if faults and not arguments["skip_bad"]:
        raise DataError(_list_faults(faults, len(jobs)))
    for path, fault in faults.items():
        _skip(path, fault, written)
    return [(number, job) for number, job in enumerate(jobs) if job.source not in faults]


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
    images = dict(_read(jobs, arguments["skip_bad"], written))
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
        **arguments["options"],
    )
    depth = int(arguments["bit_depth"] or bit_depth(model.spec))
    for number, img in zip(images, results, strict=True):
        job = jobs[number]
        write_pixels(job.target, to_pixels(img[None], depth)[0])
        written.files.append({"path": str(job.target), "source": str(job.source)})


def _read(jobs: dict[int, Job], skip_bad: bool, written: Written) -> Iterator[tuple[int, Tensor]]:
    for number, job in jobs.items():
        try:
            yield number, from_pixels(decode_image(job.source))
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
