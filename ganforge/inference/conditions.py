"""Encodes the conditions of a request: classes, attributes and texts become tensors.

A condition has one item per image, or a single item for all images. An item is a class (index or
name), a text, or a vector.
"""

import difflib
import functools
import math
import operator
import unicodedata
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from ganforge.encoders.lookup import encoder_of_model
from ganforge.errors import ConfigError, suggest
from ganforge.inference.seeds import listed
from ganforge.interfaces.conditions import CONDITIONS, sizes
from ganforge.interfaces.spec import ImageSpec

Label = int | str
Items = list[Any] | Tensor
"""Classes or texts, or vectors [n, D]."""
_ARGUMENTS = {"label": "labels", "attributes": "attributes", "text": "text"}
"""What users call a condition when they give it."""
_NOUNS = {"label": "labels", "attributes": "texts of attributes", "text": "texts"}
_MAX_LISTED_NAMES = 20


def take_conditions(arguments: dict[str, Any]) -> dict[str, Items]:
    """Remove `labels`, `attributes` and `text` from arguments; return their items.

    Raises:
        ConfigError: a value is neither text nor numbers.
    """
    given = {name: arguments.pop(_ARGUMENTS[name], None) for name in CONDITIONS}
    return {name: _items(name, value) for name, value in given.items() if value is not None}


def num_items(conditions: Mapping[str, Items]) -> int:
    """Number of images implied by the conditions; 1 where each has a single item for all."""
    return max((len(items) for items in conditions.values()), default=1)


def encode_conditions(
    conditions: Mapping[str, Items],
    spec: ImageSpec,
    known: Collection[str],
    count: int,
    text_encoder: Mapping[str, Any] | None = None,
) -> dict[str, Tensor]:
    """Conditioning tensors [count, c_dim] by condition, from the items of `take_conditions`.

    `known` are the conditions that the model was trained on; `text_encoder` has the options of
    the text encoder that differ on this machine, e.g. {"path": ...}.

    Raises:
        ConfigError: the model does not have the condition, a name is unknown, the numbers or sizes
            do not fit, or the text encoder cannot be loaded.
        DataError: a text cannot be embedded.
    """
    found = {}
    for name, items in conditions.items():
        if name not in known:
            raise ConfigError(
                f"{_ARGUMENTS[name]} was given, but this model is not conditioned on it. Leave it "
                f"out, or use a model trained on data with {_ARGUMENTS[name]}."
            )
        found[name] = _rows(name, items, spec, count, text_encoder).expand(count, -1)
    return found


def _rows(
    name: str, items: Items, spec: ImageSpec, count: int, text_encoder: Mapping[str, Any] | None
) -> Tensor:
    """Vectors [count, c_dim], or [1, c_dim] for all images."""
    if isinstance(items, Tensor):
        size = sizes(spec)[name]
        if tuple(items.shape) not in ((1, size), (count, size)):
            raise ConfigError(
                f"{name} has shape {list(items.shape)}; this model wants [{count}, {size}]: one "
                f"row per image, or a single row for all."
            )
        return items
    if len(items) not in (1, count):
        raise ConfigError(
            f"{len(items)} {_NOUNS[name]} for {count} images. Give one per image, or one for all."
        )
    if name == "text":
        return _embed(items, spec, text_encoder)
    if name == "attributes":
        return torch.tensor([_attribute_row(text, spec.attribute_names) for text in items])
    index = [_index("class", label, spec.class_names) for label in items]
    return one_hot(torch.tensor(index), spec.num_classes).float()


def _items(name: str, value: Any) -> Items:
    texts = [value] if isinstance(value, str) else value
    is_text = isinstance(texts, list | tuple) and all(isinstance(text, str) for text in texts)
    if name == "label" or (is_text and len(texts)):
        return listed(value)
    try:
        rows = torch.as_tensor(value, dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError) as err:
        raise ConfigError(
            f"{name} is neither text nor vectors ({err}). Give one text or vector for all images, "
            f"or one for each."
        ) from err
    return rows[None] if rows.ndim == 1 else rows


def _embed(texts: list[str], spec: ImageSpec, changes: Mapping[str, Any] | None) -> Tensor:
    """Embeddings [N, D] by the encoder that embedded the training captions."""
    distinct = list(dict.fromkeys(texts))
    rows = encoder_of_model(spec.text_encoding, changes).encode(distinct)
    return rows[[distinct.index(text) for text in texts]]


def _attribute_row(text: str, names: tuple[str, ...]) -> list[float]:
    """Read "female, black hair, glasses=0.5": these are 1 or the value, all others 0."""
    row: dict[int, float] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, separator, number = part.rpartition("=")
        index = _index("attribute", name if separator else part, names)
        if index in row:
            raise ConfigError(f"attributes={text!r} gives '{names[index]}' twice. Give it once.")
        row[index] = _value(number, part) if separator else 1.0
    return [row.get(index, 0.0) for index in range(len(names))]


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


def _index(what: str, wanted: Any, names: tuple[str, ...]) -> int:
    """The index of a class or an attribute, given by name or by index; names come first."""
    index = wanted
    if isinstance(wanted, str):
        if wanted in names:
            return names.index(wanted)
        index = _plain_names(names).get(_plain(wanted))
        if index is None and wanted.strip().isdecimal() and len(wanted) < 20:
            index = int(wanted)
    try:
        index = None if index is None else operator.index(index)
    except TypeError as err:
        raise ConfigError(f"The {what} {wanted!r} is neither an index nor a name.") from err
    if index is None or not 0 <= index < len(names):
        raise ConfigError(f"This model has no {what} {wanted!r}. {_advice(str(wanted), names)}")
    return index


@functools.lru_cache(maxsize=8)
def _plain_names(names: tuple[str, ...]) -> dict[str, int]:
    """Index by plain name, without names that differ in their spelling only."""
    plain = [_plain(name) for name in names]
    count = Counter(plain)
    return {name: index for index, name in enumerate(plain) if count[name] == 1}


def _plain(name: str) -> str:
    """A name in which case, composition, and what joins its words do not matter."""
    folded = unicodedata.normalize("NFC", name).casefold()
    return " ".join(folded.replace("_", " ").replace("-", " ").split())


def _advice(wanted: str, names: tuple[str, ...]) -> str:
    if len(names) <= _MAX_LISTED_NAMES:
        return f"{suggest(wanted, names)} Or give an index, 0 to {len(names) - 1}."
    near = difflib.get_close_matches(wanted, names, n=3, cutoff=0.6)
    hint = f"Did you mean {' or '.join(repr(name) for name in near)}? " if near else ""
    return f"{hint}Use one of its {len(names)} names, or an index, 0 to {len(names) - 1}."
