"""Labels of image files, by one set of rules for folders, zip archives and tar files.

1. `labels: false` gives none.
2. `dataset.json`, as the StyleGAN tools write it, has the labels; where its labels are null, there
   are none.
3. Folders that only divide a numbered sequence of images, as those tools write them, are no
   classes; nor are splits, parts such as images and masks, sizes, dates and folders of a camera.
4. The first folders are the classes, if all images lie in two or more.

`labels: true` takes the folders as classes where rules 2 to 4 find none.
"""

import json
import logging
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ganforge.data.sources.class_names import class_name, natural_order, numbered_classes
from ganforge.data.sources.folder_layouts import layout_of
from ganforge.errors import DataError

logger = logging.getLogger(__name__)

LABEL_FILE = "dataset.json"
_SHOWN = 8
_CHANGE = "set labels: {} (source.labels={})"


@dataclass(frozen=True)
class FileLabels:
    """Class names in label order, and the label of each file; both empty without classes."""

    names: tuple[str, ...] = ()
    of: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Listed:
    """The labels of a `dataset.json` by file name; empty when it says that there are none."""

    path: str
    labels: Mapping[str, int]


def read_label_file(
    folders: Iterable[PurePosixPath], read: Callable[[str], bytes | None], where: str
) -> Listed | None:
    """The first `dataset.json` in some folders.

    Args:
        folders: where it may be; its file names are relative to it.
        read: returns the content of a file by name, or None if there is no such file.
        where: for messages.

    Raises:
        DataError: it is not of the form of the StyleGAN tools.
    """
    for folder in folders:
        path = str(folder / LABEL_FILE)
        content = read(path)
        if content is None:
            continue
        try:
            loaded = json.loads(content)
            if not isinstance(loaded, dict):
                raise TypeError(f"it is a {type(loaded).__name__}")
            if "labels" not in loaded:
                return None
            pairs = loaded["labels"] or []
            pairs = pairs.items() if isinstance(pairs, Mapping) else pairs
            return Listed(path, {_listed_name(folder, f): _index(label) for f, label in pairs})
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as err:
            raise DataError(
                f"{path} in {where} is not a mapping with 'labels': [[file, number], ...] ({err}). "
                f"Correct it, or {_change(False)}."
            ) from err
    return None


def folder_label_file(folder: Path, labels: bool | None) -> Listed | None:
    """The `dataset.json` of a folder, if labels are wanted.

    Raises:
        DataError: it cannot be read, or is not of the form of the StyleGAN tools.
    """

    def read(name: str) -> bytes | None:
        try:
            return (folder / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as err:
            raise DataError(
                f"{folder / name} cannot be read ({err}). Correct it, or {_change(False)}."
            ) from err

    return None if labels is False else read_label_file([PurePosixPath()], read, str(folder))


def _listed_name(folder: PurePosixPath, name: str) -> str:
    return class_name(str(folder / name.replace("\\", "/")))  # written on Windows


def _index(label: object) -> int:
    if isinstance(label, bool) or not isinstance(label, int | float | str):
        raise ValueError(f"the label {label!r} is not a class index")
    index = int(label)
    if isinstance(label, float) and index != label:
        raise ValueError(f"the label {label!r} is not a class index")
    return index


def file_labels(
    files: Sequence[str],
    labels: bool | None,
    where: str,
    listed: Listed | None = None,
    top: str = "",
) -> FileLabels:
    """The labels of image files.

    Args:
        files: relative names with slashes; a name that ends in a slash is a folder that cannot be
            read.
        labels: the option of the source.
        where: the folder or archive, for messages.
        listed: its `dataset.json`.
        top: the folder whose sub-folders may be classes; it holds all files.

    Raises:
        DataError: `labels` is true, but images lie outside of class folders; or `dataset.json`
            lacks a file, or has an impossible label.
    """
    if labels is False:
        return FileLabels()
    if listed is not None and listed.labels:
        return _from_label_file(files, where, listed)
    within = [name.removeprefix(f"{top}/") for name in files]
    names = _folder_names(within, labels, where, listed)
    number = {name: label for label, name in enumerate(names)}
    of = {name: number[_top(below)] for name, below in zip(files, within, strict=True) if names}
    if names:
        say_classes(names, of, f"folders of {where}")
    return FileLabels(names, of)


def _from_label_file(files: Sequence[str], where: str, listed: Listed) -> FileLabels:
    composed = {name: class_name(name) for name in files}
    lacking = [name for name in files if composed[name] not in listed.labels]
    if lacking:
        raise DataError(
            f"{listed.path} in {where} has no label for '{lacking[0]}' ({len(lacking)} images have "
            f"none). Add it, or {_change(False)}."
        )
    least, most = min(listed.labels.values()), max(listed.labels.values())
    source = f"{listed.path} in {where}"
    names = numbered_classes(least if least < 0 else most, len(files), source)
    of = {name: listed.labels[composed[name]] for name in files}
    say_classes(names, of, source)
    return FileLabels(names, of)


def _folder_names(
    files: Sequence[str], labels: bool | None, where: str, listed: Listed | None
) -> tuple[str, ...]:
    loose = [name for name in files if "/" not in name]
    tops = sorted({_top(name) for name in files if "/" in name}, key=natural_order)
    folders = {name.partition("/")[0] for name in files if "/" in name}
    if len(folders) > len(tops):
        logger.warning(
            "%d folders of %s have names that differ only in how Unicode is composed, e.g. '%s'. "
            "They are taken as one.",
            len(folders) - len(tops) + 1,
            where,
            next(name for name in sorted(folders) if name != class_name(name)),
        )
    if labels:
        _refuse_loose(loose, len(files), where)
        return tuple(tops)
    doubt = _doubt(files, loose, tops, where, listed)
    if doubt:
        logger.log(logging.WARNING if listed is None else logging.INFO, "%s", doubt)
    return () if doubt or loose else tuple(tops)


def _doubt(
    files: Sequence[str],
    loose: Sequence[str],
    tops: Sequence[str],
    where: str,
    listed: Listed | None,
) -> str:
    """Why the folders are not taken as classes, and what to do about it; empty if they are."""
    as_classes = f"if they are, {_change(True)}."
    if listed is not None:
        return f"No classes: the labels in {listed.path} of {where} are null."
    if not tops:
        return ""
    if loose:
        return (
            f"No classes: {len(loose)} images of {where} lie outside of its sub-folders, e.g. "
            f"'{loose[0]}'. If the folders are classes, move these images into one."
        )
    if len(tops) == 1:
        return (
            f"All images of {where} lie in the one sub-folder '{tops[0]}', so there are no "
            f"classes. If they are one level deeper, point `path` there; if it is a class, "
            f"{_change(True)}."
        )
    shown = ", ".join(f"'{name}'" for name in tops[:3])
    if _is_numbered_sequence(files, tops):
        return (
            f"No classes: the folders {shown}, ... of {where} divide a numbered sequence of "
            f"images, so they are not taken as classes; {as_classes}"
        )
    layout = layout_of(tops)
    if layout:
        return (
            f"No classes: the folders {shown} of {where} look like {layout}, not classes. Point "
            f"the path to the one to use; {as_classes}"
        )
    return ""


def shared_top(files: Iterable[str]) -> str:
    """The folder that an archive of one folder has around everything; empty without one."""
    folders = {os.path.dirname(name) for name in files}
    shared = os.path.commonpath(folders)
    return os.path.dirname(shared) if shared in folders else shared


def _is_numbered_sequence(files: Sequence[str], tops: Sequence[str]) -> bool:
    """Whether folders 00000, 00001, ... hold images whose numbers go on from folder to folder."""
    if any(len(name) < 4 or not name.isdecimal() for name in tops):
        return False
    numbers: dict[str, list[int]] = {name: [] for name in tops}
    for name in files:
        if name.endswith("/"):
            continue
        found = re.fullmatch(r"[A-Za-z_-]*([0-9]{1,18})", PurePosixPath(name).stem)
        if found is None:
            return False
        numbers[_top(name)].append(int(found[1]))
    ranges = [(min(values), max(values)) for values in numbers.values() if values]
    return all(end < begin for (_, end), (begin, _) in zip(ranges, ranges[1:], strict=False))


def _refuse_loose(loose: Sequence[str], count: int, where: str) -> None:
    if not loose:
        return
    fault = f"'{loose[0]}' in {where} lies outside of the class sub-folders. Move it into one"
    if len(loose) == count:
        fault = f"{where} has no class sub-folders. Make one folder per class"
    raise DataError(f"Labels are needed, but {fault}, or {_change(False)}.")


def _top(name: str) -> str:
    return class_name(name.partition("/")[0])


def say_classes(
    names: Sequence[str], of: Mapping[str, int], origin: str, ignore: str | None = None
) -> None:
    """Log the classes, and which of them may be one class spelled in two ways.

    Args:
        names: in label order.
        of: the label of each file; one that ends in a slash is not counted. May be empty.
        origin: what they come from.
        ignore: what to do to ignore them.
    """
    counts = Counter(label for name, label in of.items() if not name.endswith("/"))
    shown = [
        f"{name} ({counts[label]})" if of else name for label, name in enumerate(names[:_SHOWN])
    ]
    more = ", ..." if len(names) > _SHOWN else ""
    logger.info(
        "%d class%s from %s: %s%s. To ignore them, %s.",
        len(names),
        "es" * (len(names) > 1),
        origin,
        ", ".join(shown),
        more,
        ignore or _change(False),
    )
    first: dict[str, str] = {}
    for name in names:
        alike = first.setdefault(" ".join(name.casefold().split()), name)
        if alike != name:
            logger.warning("The classes '%s' and '%s' differ only in case or spaces.", alike, name)


def _change(labels: bool) -> str:
    value = str(labels).lower()
    return _CHANGE.format(value, value)
