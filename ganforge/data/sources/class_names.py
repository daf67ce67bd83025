"""Class names, from folders and from the labels that occur."""

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from ganforge.errors import DataError

logger = logging.getLogger(__name__)
_MAX_DIGITS = 12
# Far more than any data set has, and still little memory.
_FEW_CLASSES = 100_000


def natural_order(name: str) -> list[tuple[int, str]]:
    """A sort key under which `img2` comes before `img10`."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def folder_classes(files: Sequence[str], labels: bool | None, where: str) -> tuple[str, ...]:
    """Class names from the first folder of each relative file name.

    Args:
        files: relative file names.
        labels: True requires classes, False ignores them, None uses them if all images lie in two
            or more folders.
        where: for messages.

    Raises:
        DataError: `labels` is set, but images lie outside of class folders.
    """
    if labels is False:
        return ()
    loose = [name for name in files if len(Path(name).parts) == 1]
    if loose and labels:
        fault = f"'{loose[0]}' in {where} lies outside of the class sub-folders. Move it into one"
        if len(loose) == len(files):
            fault = f"{where} has no class sub-folders. Make one folder per class"
        raise DataError(
            f"Labels are needed, but {fault}, or set labels: false (source.labels=false)."
        )
    if loose:
        return ()
    tops = {Path(name).parts[0] for name in files}
    if labels is None and len(tops) == 1:
        logger.warning(
            "All images of %s lie in the one sub-folder '%s', so there are no classes. If they "
            "are one level deeper, point `path` there; if it is a class, set labels: true.",
            where,
            next(iter(tops)),
        )
        return ()
    return tuple(sorted(tops, key=natural_order))


def occurring_classes(places: Mapping[str, str], num_samples: int) -> tuple[str, ...]:
    """Class names from the labels that occur: numbers are class indices, other texts are names.

    Args:
        places: for each label, a place where it occurs, for messages.
        num_samples: how many samples have a label.

    Raises:
        DataError: a number is negative, or too large to be a class index.
    """
    if not all(re.fullmatch(r"-?\d+", label) for label in places):
        return tuple(sorted(places, key=natural_order))

    def size(label: str) -> tuple[bool, int, str]:
        digits = label.lstrip("0")
        return label.startswith("-"), len(digits), digits

    # A negative one comes first, for it is refused. Not int(), which refuses thousands of digits.
    largest = max(places, key=size)
    return numbered_classes(largest, num_samples, places[largest])


def numbered_classes(largest: int | str, num_samples: int, where: str) -> tuple[str, ...]:
    """The names "0", "1", ... of as many classes as `count_classes` finds."""
    return tuple(str(n) for n in range(count_classes(largest, num_samples, where)))


def count_classes(largest: int | str, num_samples: int, where: str) -> int:
    """How many classes there are, from the largest class index that occurs.

    Args:
        largest: index, or its decimal digits, which may be many.
        num_samples: how many samples have a label.
        where: what holds the index, for messages.

    Raises:
        DataError: the index is negative, or so large beside the number of samples that it cannot
            be one: a range of that length may not fit in memory.
    """
    digits = str(largest).lstrip("0") or "0"
    # Before int(): it refuses thousands of digits with an error of its own.
    plausible = digits.isdecimal() and len(digits) <= _MAX_DIGITS
    if not plausible or int(digits) > 10 * num_samples + _FEW_CLASSES:
        raise DataError(
            f"{where} has the label {str(largest)[:24]}, but there are only {num_samples} samples: "
            f"numbers are taken as class indices from 0. Number the classes 0, 1, 2, ..., or name "
            f"them."
        )
    return int(digits) + 1
