"""Checks what a caller asks a model for, before anything is generated."""

import difflib
import math
import operator
import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ganforge.errors import ConfigError, suggest
from ganforge.interfaces.spec import ImageSpec

MAX_SEED = 2**55 - 1
"""A seed shares 64 bits with the number of its independent draw."""
MAX_IMAGES = 10_000_000
"""Images, and so seeds, of one request."""
_LISTED_CLASSES = 20
"""A message lists no more class names than this."""
Label = int | str
Term = tuple[float, Sequence[int]]
"""A factor and the seeds whose mean it is for."""


def resolve_seeds(num_images: int | None, seeds: Sequence[int] | int | None) -> list[int]:
    """One seed per image: those given, or 0, 1, 2, ...

    Raises:
        ConfigError: the numbers disagree, or a seed is not an integer in range.
    """
    if num_images is not None:
        num_images = _whole(num_images, "num_images={} is not an integer; ask for 1 or more.")
        if num_images < 1:
            raise ConfigError(f"num_images={num_images}; ask for at least 1 image.")
    check_count(num_images or 1, "num_images")
    if seeds is None:
        return list(range(1 if num_images is None else num_images))
    try:
        several: list[Any] = list(seeds)  # type: ignore[arg-type]
    except TypeError:  # one number, of Python, numpy or torch
        several = [seeds]
    found = [_seed(seed) for seed in several]
    if not found:
        raise ConfigError("seeds is empty; give one seed per image, or leave it out.")
    if num_images not in (None, len(found)):
        raise ConfigError(
            f"num_images={num_images}, but {len(found)} seeds were given. Give one seed per "
            f"image, or only one of the two."
        )
    return found


def parse_seeds(text: str, option: str = "--seeds") -> list[int]:
    """Seeds written as "3,10-19".

    Raises:
        ConfigError: the text is not of that form, or lists too many.
    """
    seeds: list[int] = []
    for part in text.split(","):
        low, dash, high = part.strip().partition("-")
        ends = (low, high if dash else low)
        # Python itself reads no number of thousands of digits; a seed has at most 17.
        if not all(end.isdecimal() and len(end) < 100 for end in ends) or int(ends[1]) < int(low):
            raise ConfigError(
                f"{option} {_cut(text)!r}: {_cut(part)!r} is no seed and no range. Write e.g. "
                f"3,10-19."
            )
        found = range(int(low), int(ends[1]) + 1)
        check_count(len(seeds) + found.stop - found.start, option)
        seeds += found
    return seeds


def check_count(count: int, option: str) -> None:
    """Refuse more images than one request makes.

    Raises:
        ConfigError: there are too many.
    """
    if count > MAX_IMAGES:
        raise ConfigError(
            f"{option} asks for {count} images; one request makes at most {MAX_IMAGES}. Ask for "
            f"fewer, in several parts."
        )


def _cut(text: str) -> str:
    return text if len(text) <= 100 else text[:100] + "..."


def parse_terms(terms: str | Sequence[Term]) -> list[Term]:
    """Sums of mean latents: a factor and the seeds of each term.

    Args:
        terms: "1,2,3 - 4-6 + 7", with spaces round the signs, or the terms themselves.

    Raises:
        ConfigError: the text is not of that form, or a term has no seed.
    """
    if isinstance(terms, str):
        words = re.split(r"\s+([+-])\s+", f" + {terms.strip()}")[1:]
        signs, texts = words[::2], [re.sub(r"\s*,\s*", ",", text) for text in words[1::2]]
        if any(not text or re.search(r"\s", text) for text in texts):
            raise ConfigError(
                f"The terms {terms!r} cannot be read. Write seeds with + and - between spaces, "
                f"e.g. '1,2,3 - 4-6 + 7'."
            )
        found: list[Term] = [
            (1.0 if sign == "+" else -1.0, parse_seeds(text, "terms"))
            for sign, text in zip(signs, texts, strict=True)
        ]
    else:
        found = [(float(factor), resolve_seeds(None, seeds)) for factor, seeds in terms]
    if not found:
        raise ConfigError("There are no terms. Give e.g. '1,2,3 - 4-6 + 7'.")
    return found


def _whole(value: Any, message: str) -> int:
    try:
        return operator.index(value)
    except TypeError as err:
        raise ConfigError(message.format(repr(value))) from err


def _seed(value: Any) -> int:
    seed = _whole(value, "The seed {} is not an integer.")
    if not 0 <= seed <= MAX_SEED:
        raise ConfigError(f"The seed {seed} is out of range; use 0 to {MAX_SEED}.")
    return seed


def resolve_labels(
    labels: Sequence[Label] | Tensor | Label | None, spec: ImageSpec, takes_labels: bool, count: int
) -> Tensor | None:
    """One-hot labels of the classes asked for, or None when the model is to draw them.

    Args:
        labels: one class for all images or one per image, each by index or by name. Names come
            first; text that is no class name may be an index ("3").
        spec: the model's images.
        takes_labels: whether the model is conditional.
        count: number of images.

    Returns:
        [count, num_classes] float.

    Raises:
        ConfigError: the model takes no labels, a class is unknown, or the numbers disagree.
    """
    if labels is None:
        return None
    if not takes_labels:
        raise ConfigError(
            "labels were given, but this model was trained without classes. Leave them out, or "
            "use a model trained on labelled data."
        )
    given = labels.tolist() if isinstance(labels, Tensor) else labels
    wanted = [given] if isinstance(given, int | str) else list(given)
    if len(wanted) == 1:
        wanted *= count
    if len(wanted) != count:
        raise ConfigError(
            f"{len(wanted)} labels for {count} images. Give one per image, or one for all."
        )
    index = torch.tensor([_class_index(label, spec.class_names) for label in wanted])
    return torch.nn.functional.one_hot(index, spec.num_classes).float()


def _class_index(label: Any, names: tuple[str, ...]) -> int:
    if isinstance(label, str):
        if label in names:
            return names.index(label)
        if not label.isdecimal():
            raise ConfigError(f"This model has no class '{label}'. {_near(label, names)}")
        label = int(label)
    try:
        index = operator.index(label)
    except TypeError as err:
        raise ConfigError(f"The label {label!r} is neither a class index nor a name.") from err
    if not 0 <= index < len(names):
        raise ConfigError(
            f"This model has no class {index}. Use 0 to {len(names) - 1}, or a name: "
            f"{_some(names)}."
        )
    return index


def resolve_attributes(value: Any, names: tuple[str, ...], count: int) -> Any:
    """Attributes asked for by name as vectors; anything else is returned as it is.

    "female, glasses, black hair" sets these to 1 and all others to 0; "glasses=0.5" sets a value.
    Case, and which of space, hyphen and underscore stands between words, do not matter; a number
    is an index. A list of such texts has one for each image.

    Args:
        value: a text, a list of texts, or vectors.
        names: the model's attributes, in the order of its vectors; none where it takes none.
        count: number of images.

    Raises:
        ConfigError: an attribute is unknown, or given twice; or the numbers disagree.
    """
    if isinstance(value, str):
        return _attribute_row(value, names) if names else value
    is_texts = isinstance(value, list | tuple) and value and isinstance(value[0], str)
    if not is_texts or not names:
        return value
    if len(value) != count:
        raise ConfigError(
            f"{len(value)} texts of attributes for {count} images. Give one per image, or a "
            f"single text for all."
        )
    return [_attribute_row(text, names) for text in value]


def _attribute_row(text: str, names: tuple[str, ...]) -> list[float]:
    plain = [_plain(name) for name in names]
    row: dict[int, float] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, separator, number = part.rpartition("=") if "=" in part else (part, "", "1")
        wanted = _plain(name)
        if wanted in plain:
            index = plain.index(wanted)
        elif wanted.isdecimal() and int(wanted) < len(names):
            index = int(wanted)
        else:
            raise ConfigError(
                f"This model has no attribute '{name}'. {_near(name, names, 'attribute')}"
            )
        if index in row:
            raise ConfigError(f"attributes={text!r} gives '{names[index]}' twice. Give it once.")
        row[index] = _value(number, part)
    return [row.get(index, 0.0) for index in range(len(names))]


def _plain(name: str) -> str:
    return " ".join(name.lower().replace("_", " ").replace("-", " ").split())


def _value(number: str, part: str) -> float:
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ConfigError(
            f"attributes: {part!r} is not NAME=NUMBER. Write e.g. 'glasses' or 'glasses=0.5'."
        )
    return value


def _near(label: str, names: tuple[str, ...], what: str = "class") -> str:
    if len(names) <= _LISTED_CLASSES:
        return suggest(label, names)
    near = difflib.get_close_matches(label, names, n=3, cutoff=0.6)
    hint = f"Did you mean {' or '.join(repr(name) for name in near)}? " if near else ""
    return f"{hint}Use one of its {len(names)} {what} names, or an index."


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:_LISTED_CLASSES]) + (", ..." if len(names) > _LISTED_CLASSES else "")


def resolve_vectors(value: Any, name: str, size: int, count: int) -> Tensor | None:
    """Attribute or text vectors as [count, size] float; one row serves all images.

    Raises:
        ConfigError: the model takes none, or the shape does not fit.
    """
    if value is None:
        return None
    if size == 0:
        raise ConfigError(
            f"{name} was given, but this model is not conditioned on it. Leave it out."
        )
    rows = torch.as_tensor(value, dtype=torch.float32)
    rows = rows.expand(count, -1) if rows.ndim == 1 else rows
    if rows.shape != (count, size):
        raise ConfigError(
            f"{name} has shape {list(rows.shape)}; this model wants [{count}, {size}]: one row "
            f"per image, or a single row for all."
        )
    return rows
