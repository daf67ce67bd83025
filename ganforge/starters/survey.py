"""Looks at the data of `ganforge new`: what they are, and what would spoil training."""

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ganforge.config.choices import ComponentChoice
from ganforge.config.data import DataConfig
from ganforge.data.inspect import DatasetReport, ImageForm, inspect
from ganforge.data.prepare.guess_source import guess_source
from ganforge.data.prepare.source_to_shards import build_source
from ganforge.data.sources.image_files import image_files
from ganforge.errors import DataError
from ganforge.interfaces.source import Source

Kind = Literal["images", "classes", "pairs", "domains", "text", "video"]

_LOOKED_AT = 4000
"""Samples of each stream that are decoded: enough to know the data, and seconds of work."""
_MIN_IMAGES = 32
"""One batch."""
_MIN_SIDE = 8
_MAX_ASPECT = 8
_MAX_UNUSABLE = 0.5
_MIN_PAIRED = 0.5
"""Two folders are pairs where this share of the smaller one has a partner."""
_MIN_PER_CLASS = 20
"""Below this many images a class, a class is too small to be drawn by itself."""
_METADATA = ("metadata.jsonl", "metadata.csv")
"""Tables beside the images, with a file_name and a caption, as Hugging Face's image folders."""
_CAPTION_COLUMNS = ("text", "prompt")


@dataclass(frozen=True)
class Survey:
    """What was found.

    Attributes:
        kind: what can be trained on it.
        places: what the user named.
        source: the `data.source` section.
        report: the findings about the samples that were looked at.
        count: samples in all: images, pairs, frames; of two domains those of the smaller one.
        reason: why it is of this kind, for the user; empty where that is plain.
    """

    kind: Kind
    places: tuple[str, ...]
    source: Mapping[str, Any]
    report: DatasetReport
    count: int
    reason: str = ""
    per_domain: tuple[int, ...] = ()
    """Images of each of two domains."""

    @property
    def side(self) -> int:
        """Median of the shorter sides, in pixels."""
        forms = self.report.forms.items()
        sides = [min(form.height, form.width) for form, count in forms for _ in range(count)]
        return math.floor(statistics.median(sides))

    @property
    def is_gray(self) -> bool:
        """Whether no image has colors."""
        return all(form.channels == 1 for form in self.report.forms)

    @property
    def num_looked_at(self) -> int:
        """Samples that were decoded, or could not be."""
        return sum(self.report.num_samples.values()) + self.report.num_bad


def survey(places: Sequence[str], *, as_video: bool = False) -> Survey:
    """Look at a folder, an archive, a table or a video, or at two folders.

    Args:
        places: one of them, or the two folders of a translation.
        as_video: a folder of images holds the frames of a video, each sub-folder those of one.

    Raises:
        DataError: there is nothing to train on, or too little; says what there is instead.
    """
    if len(places) > 2:
        raise DataError(
            f"{len(places)} places were given ({', '.join(places)}). Name one, or the two folders "
            f"of a translation: first the images to translate, then those to translate to. A shell "
            f"also expands {places[0]!r} if it was a pattern: name the folder instead."
        )
    found = _two_folders(*places) if len(places) == 2 else _one_place(places[0], as_video)
    _check(found)
    return found


def _one_place(place: str, as_video: bool) -> Survey:
    section = _source_of(place)
    if as_video and section["name"] == "folder":
        section["name"] = "frames"
    source = _build(section)
    first = next(iter(source.samples(source.streams()[0])), None)
    fields = first.fields if first is not None else {}
    report = _look(section)
    kind, reason = _kind(place, fields, report)
    count = source.num_samples() or _seen(report)
    if kind == "video":
        count = sum(report.forms.values())
    reason += _not_in_table(place, section, count)
    return Survey(kind, (place,), section, report, count, reason)


def _not_in_table(place: str, section: Mapping[str, Any], count: int) -> str:
    """Says how many images of a folder the table in it does not name; empty if it names all."""
    folder = Path(place).expanduser()
    if section["name"] != "manifest" or not folder.is_dir():
        return ""
    unnamed = len(image_files(folder, "DATA")) - count
    table = Path(section["path"]).name
    return f"; {unnamed:,} images that {table} does not name are left out" if unnamed > 0 else ""


def _source_of(place: str) -> dict[str, Any]:
    """The source; a table with captions is read where one lies beside the images."""
    folder = Path(place).expanduser()
    table = next((folder / name for name in _METADATA if (folder / name).is_file()), None)
    section = guess_source(str(table) if table else place)
    if section["name"] != "manifest":
        return section
    header = set(getattr(_build(section), "column_names", ()))
    other = next((column for column in _CAPTION_COLUMNS if column in header), None)
    if other and "caption" not in header:
        section["columns"] = {"caption": other}
    return section


def _kind(place: str, fields: Mapping[str, Any], report: DatasetReport) -> tuple[Kind, str]:
    if "frames" in fields:
        clips = _seen(report)
        return "video", f"{clips:,} clip{'s' * (clips > 1)}: edges are translated to frames"
    if {"source", "target"} <= fields.keys():
        return "pairs", ""
    if "caption" in fields:
        return "text", "each image has a caption"
    counts = [count for count in report.class_counts.values() if count]
    if len(counts) < 2:
        return "images", ""
    if sum(counts) < _MIN_PER_CLASS * len(counts):
        many = f"{len(counts)} classes of {sum(counts) / len(counts):.0f} images are too small"
        return "images", f"{many} to be drawn one by one; they are drawn together"
    return "classes", f"{len(counts)} sub-folders or labels are classes"


def _two_folders(source: str, target: str) -> Survey:
    names = [_stems(source), _stems(target)]
    common = len(names[0] & names[1])
    share = common / min(map(len, names))
    section: dict[str, Any] = {"source": source, "target": target}
    if share < _MIN_PAIRED:
        section = {"name": "unpaired", **section}
        reason = f"{common} names occur in both folders, so these are two domains without pairs"
        report = _look(section)
        counts = (len(names[0]), len(names[1]))
        places = (source, target)
        return Survey("domains", places, section, report, min(counts), reason, counts)
    section = {"name": "pairs", **section}
    reason = f"{common:,} names occur in both folders, so these are pairs"
    alone = len(names[0] ^ names[1])
    if alone:
        section["unmatched"] = "skip"
        reason += f"; {alone:,} images without a partner are left out"
    return Survey("pairs", (source, target), section, _look(section), common, reason)


def _stems(folder: str) -> set[str]:
    path = Path(folder).expanduser()
    return {str(Path(name).with_suffix("")) for name in image_files(path, "DATA")}


def _build(section: Mapping[str, Any]) -> Source[Any]:
    return build_source(DataConfig(source=ComponentChoice.model_validate(section)))


def _look(section: Mapping[str, Any]) -> DatasetReport:
    config = DataConfig(source=ComponentChoice.model_validate(section))
    return inspect(config, max_samples=_LOOKED_AT, spread=True)


def _seen(report: DatasetReport) -> int:
    return sum(report.num_samples.values())


def _check(found: Survey) -> None:
    """Refuse what cannot be trained on, with the reason."""
    report, where = found.report, " and ".join(found.places)
    if not _seen(report):
        raise DataError(
            f"None of the {report.num_bad:,} images in {where} can be read. {report.bad[0]}. Are "
            f"they images, and whole? `ganforge data inspect` lists all faults."
        )
    if report.num_bad > _MAX_UNUSABLE * found.num_looked_at:
        raise DataError(
            f"{report.num_bad:,} of the {found.num_looked_at:,} images in {where} cannot be read. "
            f"The first: {report.bad[0]}. Repair or remove them."
        )
    if found.count < _MIN_IMAGES:
        what = "frame" if found.kind == "video" else "image"
        what += "s" * (found.count != 1)
        raise DataError(
            f"{where} has {found.count} {what}. A GAN needs at least {_MIN_IMAGES} to train at "
            f"all, and some thousands to draw new ones."
        )
    _check_forms(report.forms, where)


def _check_forms(forms: Mapping[ImageForm, int], where: str) -> None:
    unusable = {form: count for form, count in forms.items() if not _is_usable(form)}
    total, bad = sum(forms.values()), sum(unusable.values())
    if bad <= _MAX_UNUSABLE * total:
        return
    common = Counter(unusable).most_common(3)
    sizes = ", ".join(f"{form.width}x{form.height} ({count:,})" for form, count in common)
    raise DataError(
        f"{bad:,} of the {total:,} images in {where} are smaller than {_MIN_SIDE} pixels or longer "
        f"than {_MAX_ASPECT} times their width: {sizes} (width x height). Nothing can be learned "
        f"from a square of them. Is this the right folder?"
    )


def _is_usable(form: ImageForm) -> bool:
    short, long = sorted((form.height, form.width))
    return short >= _MIN_SIDE and long <= _MAX_ASPECT * short


def describe(found: Survey) -> list[str]:
    """What was found, in lines for the user."""
    report = found.report
    noun = {"pairs": "pairs", "video": "frames", "text": "images with captions"}.get(
        found.kind, "images"
    )
    total = " and ".join(f"{count:,}" for count in found.per_domain or (found.count,))
    parts = [f"{total} {noun}", _sizes(report.forms)]
    if found.is_gray:
        parts.append("gray")
    if report.num_transparent:
        share = report.num_transparent / max(1, _seen(report))
        parts.append("transparent" if share > 0.9 else f"{share:.0%} transparent")
    lines = [", ".join(parts) + "."]
    if found.num_looked_at < found.count and found.kind != "video":
        lines.append(f"Looked at {found.num_looked_at:,} of them, evenly spaced.")
    if found.reason:
        reason = found.reason.removeprefix("; ")
        lines.append(reason[0].upper() + reason[1:] + ".")
    return lines + _doubts(found)


def _sizes(forms: Mapping[ImageForm, int]) -> str:
    sizes = Counter[tuple[int, int]]()
    for form, count in forms.items():
        sizes[form.width, form.height] += count
    if len(sizes) == 1:
        (width, height), _ = sizes.most_common(1)[0]
        return f"{width}x{height}"
    small, large = min(sizes, key=_area), max(sizes, key=_area)
    return f"{small[0]}x{small[1]} to {large[0]}x{large[1]}"


def _area(size: tuple[int, int]) -> int:
    return size[0] * size[1]


def _doubts(found: Survey) -> list[str]:
    """Warnings about the data."""
    report, lines = found.report, []
    if report.num_bad:
        lines.append(f"{report.num_bad:,} cannot be read and are left out: {report.bad[0]}.")
    if report.num_duplicates:
        lines.append(f"{report.num_duplicates:,} are copies of others, pixel by pixel.")
    if found.count < 1000 and found.kind in ("images", "classes"):
        lines.append("That is few: expect variations of these images rather than new ones.")
    lines += [f"Left out: {files}." for files in report.left_out]
    return lines
