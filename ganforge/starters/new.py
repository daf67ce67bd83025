"""`ganforge new`: from a place with images to a pipeline file, with what to expect of it."""

import os
import re
import shlex
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ganforge.errors import ConfigError
from ganforge.io.atomic import write_text
from ganforge.starters.pipeline_file import pipeline_text
from ganforge.starters.recipes import (
    SAVED_SHARE,
    Setting,
    Starter,
    choose_resolution,
    choose_starter,
    compared,
    image_size,
    length,
    settings,
    threads,
    two_digits,
)
from ganforge.starters.survey import describe, survey

Say = Callable[[str], None]
_BUSY = 1.5
"""Load of each core from which the user is told that the speed is not that of an idle machine."""


@dataclass(frozen=True)
class Wishes:
    """What the user said of the run; None leaves it to the data and the machine.

    Attributes:
        out: the pipeline file. Default: the name of the data.
        resolution: side of the images, in pixels.
        architecture: registered name.
        minutes: length of the training.
        overwrite: replace the file if it is there.
    """

    out: Path | None = None
    resolution: int | None = None
    architecture: str | None = None
    minutes: float = 10.0
    overwrite: bool = False


def new_pipeline(places: Sequence[str], wishes: Wishes, say: Say) -> Path:
    """Look at the data and the machine, and write the pipeline file that fits them.

    Args:
        places: one place with images, or the two folders of a translation.
        wishes: what the user said.
        say: gets a line of text for the user at a time.

    Returns:
        the file.

    Raises:
        DataError: the data do not suffice.
        ConfigError: the file is there already, or a wish cannot be fulfilled.
    """
    name = _run_name(places[0] if wishes.out is None else wishes.out.stem)
    out = wishes.out or Path(f"{name}.yaml")
    _check_out(out, wishes.overwrite)
    found = survey(places, as_video=wishes.architecture == "vid2vid")
    for line in describe(found):
        say(line)
    # From here on torch is needed, which takes seconds to load.
    from ganforge.starters.machine import this_machine
    from ganforge.starters.measure import measure

    machine = this_machine()
    load = machine.load
    starter = choose_starter(found, machine.is_gpu, wishes.architecture)
    resolution = choose_resolution(found, starter, machine.is_gpu, wishes.resolution)
    chosen = list(settings(found, starter, name, resolution))
    header = [f"{describe(found)[0]} Written by: {_command(places)}"]
    height, width = image_size(found, resolution[0])
    say(f"{starter.architecture} at {width}x{height}: measuring its speed ...")
    with tempfile.TemporaryDirectory(prefix="ganforge-new-") as folder:
        draft = Path(folder) / "draft.yaml"
        write_text(draft, pipeline_text(header, starter.file, chosen))
        speed = measure(draft)
    chosen += threads(speed, machine.cores)
    chosen += length(found, starter, wishes.minutes, speed.img_per_sec, str(machine))
    write_text(out, pipeline_text(header, starter.file, chosen))
    unit = "windows" if found.kind == "video" else "images"
    rate = f"{two_digits(speed.img_per_sec):g} {unit}/s"
    say(f"{rate} on {machine}, measured over {speed.seconds:.0f} s.")
    if speed.threads is not None:
        verb = "thread is" if speed.threads == 1 else "threads are"
        say(f"{speed.threads} {verb} {compared(speed)} {machine.cores} here.")
    if load > _BUSY:
        say("Other programs use this machine: without them it is faster, so measure again then.")
    for line in expectations(starter, chosen, speed.img_per_sec, wishes.minutes):
        say(line)
    return out


def expectations(
    starter: Starter, chosen: Sequence[Setting], img_per_sec: float, minutes: float
) -> Iterator[str]:
    """What to expect, as estimates from the measured speed and from runs on other data."""
    values = {setting.key: setting.value for setting in chosen}
    kimg_per_minute = img_per_sec * 60 / 1000
    total, first = values["train.total_kimg"], values["train.sample_every_kimg"]
    yield f"First picture after about {_minutes(first / kimg_per_minute)}."
    known = {"recognizable": starter.recognizable_kimg, "good": starter.good_kimg}
    parts = [
        f"{what} at about {kimg:g} kimg ({_minutes(kimg / kimg_per_minute)})"
        for what, kimg in known.items()
        if kimg is not None
    ]
    if not parts:
        yield "How long this recipe takes to good images has not been measured yet."
        return
    yield f"Estimate from {starter.measured}: {', '.join(parts)}."
    least = starter.recognizable_kimg or starter.good_kimg or 0
    if total < least:
        needed = two_digits(least / kimg_per_minute / SAVED_SHARE)
        yield (
            f"{minutes:g} minutes are {total:g} kimg, too few for that here: give it --minutes "
            f"{needed:g} or more, or a smaller --resolution."
        )


def _minutes(minutes: float) -> str:
    if minutes < 1:
        return "1 min"
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.0f} h"


def _run_name(text: str) -> str:
    """A name for the run from a path: letters, digits, dots, dashes and underscores."""
    stem = os.path.basename(os.path.abspath(os.path.expanduser(text)))
    for suffix in (".csv", ".jsonl", ".ndjson", ".zip", ".yaml", ".yml"):
        stem = stem.removesuffix(suffix)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._")
    return name or "images"


def _check_out(out: Path, overwrite: bool) -> None:
    if out.suffix not in (".yaml", ".yml"):
        raise ConfigError(f"--out {out} is not a .yaml file. Name it {out.with_suffix('.yaml')}.")
    if out.is_dir():
        raise ConfigError(f"--out {out} is a folder. Name a file in it: {out / 'photos.yaml'}.")
    if out.exists() and not overwrite:
        raise ConfigError(
            f"{out} exists already. Run it: ganforge run {out}; or write another file with --out, "
            f"or replace it with --overwrite."
        )


def _command(places: Sequence[str]) -> str:
    return shlex.join(["ganforge", "new", *places])
