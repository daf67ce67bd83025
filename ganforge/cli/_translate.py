"""`ganforge translate`: plans which file becomes which, then images, then videos."""

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from ganforge.cli._files import Job, is_video, list_inputs, plan_jobs
from ganforge.cli._load import Arguments
from ganforge.cli._translate_images import SHEET_FORMATS, Written, translate_images
from ganforge.data.keypoints import holds_keypoints
from ganforge.errors import ConfigError, DataError
from ganforge.imaging.save import check_folder
from ganforge.imaging.video import VIDEO_SUFFIXES
from ganforge.inference.clip_output import Progress
from ganforge.inference.pretrained import PretrainedGan
from ganforge.inference.source_fields import FieldFiles, check_field
from ganforge.inference.translation import check_translates
from ganforge.inference.translator import setup_of


def translate_files(model: PretrainedGan, inputs: Sequence[Path], arguments: Arguments) -> Written:
    """Translate the images and videos of files and folders, and write each under the same name.

    Raises:
        ConfigError: the model cannot do it, or a result would replace another file.
        DataError: files cannot be read, unless `skip_bad`.
    """
    check_translates(model.architecture)
    model.architecture.check_request(None, arguments["options"])
    model.translator(**setup_of(arguments))
    listed = list_inputs(inputs, arguments["is_null"])
    clips, images = _plan(model, listed, arguments)
    _check_compare(arguments, clips, images)
    written = Written()
    if images:
        translate_images(model, images, arguments, written)
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
                f"--out {out} is a video, which is made of one video, folder of frames or file of "
                f"keypoints. Give one of these, or a folder as --out."
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
    _check_options(arguments, clips, images)
    return clips, images


def _check_options(arguments: Arguments, clips: Sequence[Job], images: Sequence[Job]) -> None:
    for option, flag, kind, there in (
        ("fps", "--fps", "videos", clips),
        ("frames", "--frames", "videos", clips),
        ("bit_depth", "--bit-depth", "images", images),
    ):
        if arguments[option] and not there:
            raise ConfigError(f"{flag} is for {kind}, but there are none. Leave it out.")


def _check_compare(arguments: Arguments, clips: Sequence[Job], images: Sequence[Job]) -> None:
    sheet, targets = arguments["compare"], arguments["targets"]
    if sheet is None:
        if targets is not None:
            raise ConfigError(
                f"--targets {targets} is shown by --compare. Pass --compare sheet.png too."
            )
        return
    if clips:
        if images or len(clips) > 1 or sheet.suffix.lower() not in VIDEO_SUFFIXES:
            raise ConfigError(
                f"--compare {sheet}: of one clip it is a video, such as both.mp4, and of images a "
                f"picture. Translate clips one by one, and apart from images."
            )
        if targets is not None:
            raise ConfigError(f"--targets {targets} is for images. Leave it out.")
        return
    if sheet.suffix.lower() not in SHEET_FORMATS:
        raise ConfigError(f"--compare {sheet} is a PNG or JPEG. Give it a name such as sheet.png.")
    check_folder(sheet.parent)
    taken = {path.resolve() for job in images for path in (job.source, job.target)}
    if sheet.resolve() in taken:
        raise ConfigError(
            f"--compare {sheet} is also an image to read or to write. Give it another name."
        )


def _is_clip(job: Job) -> bool:
    return job.source.is_dir() or is_video(job.source) or holds_keypoints(job.source)


def _translate_clip(model: PretrainedGan, job: Job, arguments: Arguments, written: Written) -> None:
    same = ("seed", "fps", "audio", "skip_bad")
    try:
        made = model.translate_video(
            job.source,
            job.target,
            chunk_frames=arguments["batch_size"],
            progress=_progress(job.source),
            fields=_fields_beside(model, job, arguments),
            compare=arguments["compare"],
            **{name: arguments[name] for name in same},
            **setup_of(arguments),
            **arguments["options"],
        )
    except DataError as err:
        if not arguments["skip_bad"]:
            raise
        written.skip(job.source, str(err))
        return
    written.clips.append(made)
    fields = {"frames": made.num_frames, "size": [made.height, made.width], "fps": str(made.fps)}
    written.files.append({"path": str(made.path), "source": str(job.source), **fields})


def _fields_beside(model: PretrainedGan, job: Job, arguments: Arguments) -> dict[str, FieldFiles]:
    """The files of each --field: below its folder at the place of the clip, or in it itself."""
    found = {}
    for name, folder in arguments["fields"]:
        check_field(model.spec, name)
        place = job.target.with_suffix("").name
        below = folder / place
        found[name] = FieldFiles(model.spec, name, below if below.is_dir() else folder)
    return found


def _progress(source: Path) -> Progress:
    """A progress line on a terminal; nothing elsewhere."""

    def show(done: int, total: int | None) -> None:
        of = f" of {total}" if total else ""
        click.echo(f"\r{source}: frame {done}{of}", nl=done == total, err=True)

    return show if is_terminal() else lambda done, total: None


def is_terminal() -> bool:
    """Whether standard error is a terminal."""
    return sys.stderr.isatty()
