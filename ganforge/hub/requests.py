"""Checks what a caller asks a model for, before anything is generated."""

import difflib
import operator
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ganforge.batch import ImageSpec
from ganforge.errors import ConfigError, suggest

MAX_SEED = 2**55 - 1
"""A seed shares 64 bits with the number of its independent draw."""
_LISTED_CLASSES = 20
"""A message lists no more class names than this."""
Label = int | str


def resolve_seeds(num_images: int | None, seeds: Sequence[int] | int | None) -> list[int]:
    """One seed per image: those given, or 0, 1, 2, ...

    Raises:
        ConfigError: the numbers disagree, or a seed is not an integer in range.
    """
    if num_images is not None and num_images < 1:
        raise ConfigError(f"num_images={num_images}; ask for at least 1 image.")
    if seeds is None:
        return list(range(1 if num_images is None else num_images))
    found = [_seed(seed) for seed in ([seeds] if isinstance(seeds, int) else seeds)]
    if not found:
        raise ConfigError("seeds is empty; give one seed per image, or leave it out.")
    if num_images not in (None, len(found)):
        raise ConfigError(
            f"num_images={num_images}, but {len(found)} seeds were given. Give one seed per "
            f"image, or only one of the two."
        )
    return found


def _seed(value: Any) -> int:
    try:
        seed = operator.index(value)
    except TypeError as err:
        raise ConfigError(f"The seed {value!r} is not an integer.") from err
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
    wanted = [given] * count if isinstance(given, int | str) else list(given)
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


def _near(label: str, names: tuple[str, ...]) -> str:
    if len(names) <= _LISTED_CLASSES:
        return suggest(label, names)
    near = difflib.get_close_matches(label, names, n=3, cutoff=0.6)
    hint = f"Did you mean {' or '.join(repr(name) for name in near)}? " if near else ""
    return f"{hint}Use one of its {len(names)} class names, or an index."


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
