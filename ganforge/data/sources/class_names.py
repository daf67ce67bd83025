"""Class names: their form and order, and those that are made of the labels that occur."""

import re
import unicodedata
from collections.abc import Mapping

from ganforge.errors import DataError

MAX_DIGITS = 12
# Far more than any data set has, and still little memory.
_FEW_CLASSES = 100_000
# Python's form of the bytes of a file name that are not UTF-8.
_LATIN_1 = {0xDC00 + byte: chr(byte) for byte in range(0x80, 0x100)}


def class_name(text: str) -> str:
    """The text as a class name: in composed Unicode, as keyboards give it; Macs decompose it.

    A file name that is not UTF-8 is read as Latin-1: old systems wrote it, and JSON cannot hold it.
    """
    if not text.isascii():
        text = text.translate(_LATIN_1).encode(errors="replace").decode()
    return unicodedata.normalize("NFC", text)


def natural_order(name: str) -> tuple[list[tuple[int, str]], str, str]:
    """A sort key under which `img2` comes before `img10`.

    Names that differ only in leading zeros or in Unicode composition have a fixed order, too.
    """
    composed = class_name(name)
    parts = re.split(r"([0-9]+)", composed)
    # Digits by length and text, because int() refuses thousands of them.
    digits = [part.lstrip("0") for part in parts[1::2]]
    order = [(0, part) for part in parts]
    order[1::2] = [(len(number), number) for number in digits]
    return order, composed, name


def occurring_classes(places: Mapping[str, str], num_samples: int) -> tuple[str, ...]:
    """Class names from the labels that occur: numbers are class indices, other texts are names.

    Args:
        places: for each label, a place where it occurs, for messages.
        num_samples: how many samples have a label.

    Raises:
        DataError: a number is negative, or too large to be a class index.
    """
    if not all(re.fullmatch(r"-?\d+", label) for label in places):
        return tuple(sorted(set(map(class_name, places)), key=natural_order))

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
    plausible = digits.isdecimal() and len(digits) <= MAX_DIGITS
    if not plausible or int(digits) > 10 * num_samples + _FEW_CLASSES:
        raise DataError(
            f"{where} has the label {str(largest)[:24]}, but there are only {num_samples} samples: "
            f"numbers are taken as class indices from 0. Number the classes 0, 1, 2, ..., or name "
            f"them."
        )
    return int(digits) + 1
