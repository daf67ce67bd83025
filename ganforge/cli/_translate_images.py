"""Images of `ganforge translate`: while one batch is translated, others are read and written."""

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from torch import Tensor

from ganforge.cli._files import Job, find_beside
from ganforge.cli._load import Arguments
from ganforge.cli._shared import count
from ganforge.errors import DataError
from ganforge.imaging.codec import Undecodable, decode_image
from ganforge.imaging.images import from_pixels, to_pixels
from ganforge.imaging.save import write_image, write_pixels
from ganforge.inference.clip_output import VideoSummary
from ganforge.inference.comparison import ComparisonSheet
from ganforge.inference.pretrained import PretrainedGan
from ganforge.inference.source_fields import check_field, read_field_file
from ganforge.inference.translator import Translator, setup_of

SHEET_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
"""Of the picture of --compare, by ending."""
_LISTED = 10
_MAX_THREADS = 8


@dataclass
class Written:
    """The files that a command wrote, and those that it skipped."""

    files: list[dict[str, Any]] = field(default_factory=list)
    clips: list[VideoSummary] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)

    def lines(self, arguments: Arguments) -> list[str]:
        """What was written, in words."""
        num_images = len(self.files) - len(self.clips)
        lines = [f"Wrote {count(num_images, 'image')} to {arguments['out']}."] if num_images else []
        if num_images and arguments["compare"]:
            lines.append(f"Wrote {arguments['compare']}.")
        return lines + [f"Wrote {clip}." for clip in self.clips]

    def skip(self, path: Path, message: str) -> None:
        """Note a file that cannot be translated, and say why."""
        click.echo(f"Skipped: {message}", err=True)
        self.skipped.append(path)


@dataclass(frozen=True)
class _Item:
    """An image to translate; its number decides its seed."""

    number: int
    job: Job
    fields: Mapping[str, Path]
    target: Path | None


@dataclass(frozen=True)
class _Read:
    """What was read for an image, or the fault of a file."""

    source: Tensor | None = None
    fields: Mapping[str, Tensor] | None = None
    fault: str = ""


def translate_images(
    model: PretrainedGan, jobs: Sequence[Job], arguments: Arguments, written: Written
) -> None:
    """Translate image files in batches, and note what was written.

    Decoding and encoding run on threads beside the networks. At most three batches are in memory:
    one that is read, one that is translated and one that is written.

    Raises:
        ConfigError: an image cannot keep its size, or the model has no such field.
        DataError: files cannot be read, unless `skip_bad`.
    """
    with ThreadPoolExecutor(min(_MAX_THREADS, (os.cpu_count() or 1) + 1)) as pool:
        images = _Images(model, arguments, written, pool)
        images.translate(images.items(jobs))
    images.save_sheet()


class _Images:
    """A translation of many files; its methods run on the main thread, but for `_read`."""

    def __init__(
        self, model: PretrainedGan, arguments: Arguments, written: Written, pool: ThreadPoolExecutor
    ) -> None:
        self.model, self.arguments, self.written, self.pool = model, arguments, written, pool
        self.translator: Translator = model.translator(**setup_of(arguments))
        self.reader = self.translator.reader
        self.depth = int(arguments["bit_depth"] or model.spec.bit_depth)
        self.sheet: ComparisonSheet | None = None
        if arguments["compare"]:
            self.sheet = ComparisonSheet(of_labels=self.reader.kind == "labels")
        self._writing: list[tuple[Job, Future[None]]] = []

    def items(self, jobs: Sequence[Job]) -> list[_Item]:
        """The jobs whose files begin like an image that can be translated, with what is beside."""
        good = self._good(jobs)
        beside: dict[str, list[Path]] = {}
        for name, folder in self.arguments["fields"]:
            check_field(self.model.spec, name)
            beside[name] = self._beside([job for _, job in good], name, folder)
        targets = self.arguments["targets"]
        return [
            _Item(
                number,
                job,
                {name: paths[index] for name, paths in beside.items()},
                find_beside(targets, self._place(job)) if targets else None,
            )
            for index, (number, job) in enumerate(good)
        ]

    def _good(self, jobs: Sequence[Job]) -> list[tuple[int, Job]]:
        faults: dict[Path, str] = {}
        for job, found in zip(jobs, self.pool.map(self._size, jobs), strict=True):
            if isinstance(found, Undecodable):
                faults[job.source] = f"{job.source} {found}"
            elif self.reader.kind != "derived":  # a derived source may have another size
                self.translator.sizing.check(*found, str(job.source))
        if faults and not self.arguments["skip_bad"]:
            raise DataError(
                f"{len(faults)} of {count(len(jobs), 'file')} cannot be read, so nothing was "
                f"translated:\n{_listed(faults.values())}\n"
                f"Leave them out, or pass --skip-bad to translate the others."
            )
        for path, fault in faults.items():
            self.written.skip(path, f"{fault}.")
        return [(number, job) for number, job in enumerate(jobs) if job.source not in faults]

    def _size(self, job: Job) -> tuple[int, int] | Undecodable:
        try:
            return self.reader.file_size(job.source)
        except Undecodable as err:
            return err

    def _place(self, job: Job) -> Path:
        return job.target.relative_to(self.arguments["out"])

    def _beside(self, jobs: Sequence[Job], name: str, folder: Path) -> list[Path]:
        found = [find_beside(folder, self._place(job)) for job in jobs]
        missing = [job.source for job, path in zip(jobs, found, strict=True) if path is None]
        if missing:
            raise DataError(
                f"--field {name}={folder}: {len(missing)} of {count(len(jobs), 'image')} have no "
                f"file of the same name there, so nothing was translated:\n{_listed(missing)}\n"
                f"Add these files."
            )
        return [path for path in found if path is not None]

    def translate(self, items: Sequence[_Item]) -> None:
        """Translate and write; batch n + 1 is read while batch n is translated."""
        size = self.arguments["batch_size"]
        batches = [items[start : start + size] for start in range(0, len(items), size)]
        reading: list[Future[_Read]] = []
        for number, batch in enumerate(batches):
            reads = reading or self._start(batch)
            reading = self._start(batches[number + 1]) if number + 1 < len(batches) else []
            self._translate_batch(batch, [future.result() for future in reads])
        self._finish_writing()

    def _start(self, batch: Sequence[_Item]) -> list[Future[_Read]]:
        return [self.pool.submit(self._read, item) for item in batch]

    def _read(self, item: _Item) -> _Read:
        path = item.job.source
        try:
            source, fields = self.reader.read_file(path), {}
            for name, path in item.fields.items():  # noqa: B007  # named in the fault
                fields[name] = read_field_file(self.model.spec, name, path)
        except Undecodable as err:
            return _Read(fault=f"{path} {err}")
        return _Read(source, fields)

    def _translate_batch(self, batch: Sequence[_Item], reads: Sequence[_Read]) -> None:
        for item, read in zip(batch, reads, strict=True):
            if read.fault:
                self._refuse(item, read.fault)
        pairs = [(i, r) for i, r in zip(batch, reads, strict=True) if r.source is not None]
        if not pairs:
            return
        seeds = [self.arguments["seed"] + item.number for item, _ in pairs]
        sources = [read.source for _, read in pairs if read.source is not None]
        fields = {
            name: [(read.fields or {})[name] for _, read in pairs] for name in pairs[0][0].fields
        }
        results = self.model.translate(
            sources,
            seeds=seeds,
            fields=fields,
            batch_size=self.arguments["batch_size"],
            output_type="pt",
            **setup_of(self.arguments),
            **self.arguments["options"],
        )
        self._finish_writing()
        for (item, _), source, seed, img in zip(pairs, sources, seeds, results, strict=True):
            self._writing.append((item.job, self.pool.submit(self._write, item.job.target, img)))
            self._compare(item, source, seed, img)

    def _refuse(self, item: _Item, fault: str) -> None:
        if not self.arguments["skip_bad"]:
            self._finish_writing()
            done = count(len(self.written.files), "image")
            raise DataError(
                f"{fault}. {done} {'was' if len(self.written.files) == 1 else 'were'} written "
                f"before it. Leave it out, or pass --skip-bad to translate the others."
            )
        self.written.skip(item.job.source, f"{fault}.")

    def _write(self, path: Path, img: Tensor) -> None:
        write_pixels(path, to_pixels(img[None], self.depth)[0])

    def _finish_writing(self) -> None:
        for job, future in self._writing:
            future.result()
            self.written.files.append({"path": str(job.target), "source": str(job.source)})
        self._writing = []

    def _compare(self, item: _Item, source: Tensor, seed: int, img: Tensor) -> None:
        if self.sheet is None or self.sheet.is_full:
            return
        (shown,) = self.reader.derive([source], [seed])
        target = None
        if item.target is not None:
            try:
                target = from_pixels(decode_image(item.target))
            except Undecodable as err:
                raise DataError(f"{item.target} {err}. Leave it out of --targets.") from err
        self.sheet.add(shown, img, target, str(self._place(item.job)))

    def save_sheet(self) -> None:
        """Write the sheet of --compare."""
        path = self.arguments["compare"]
        if self.sheet is not None and self.written.files:
            write_image(path, self.sheet.draw(), SHEET_FORMATS[path.suffix.lower()])


def _listed(lines: Iterable[object]) -> str:
    texts = [f"  {line}" for line in lines]
    more = len(texts) - _LISTED
    return "\n".join([*texts[:_LISTED], *([f"  and {more} more"] if more > 0 else [])])
