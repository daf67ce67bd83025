"""Turn pydantic's errors into sentences: the key, the fault, the place, the nearest valid name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import pydantic
from pydantic import BaseModel

from ganforge.config.choices import KeyPath, models_in, type_at
from ganforge.config.source_locations import SourceLocations
from ganforge.errors import GanforgeError, suggest

_MAX_SHOWN = 80


@dataclass(frozen=True)
class Message:
    """What is wrong at one key of a pipeline file."""

    path: KeyPath
    text: str


def dotted(path: Sequence[str | int]) -> str:
    """A key path as overrides write it."""
    return ".".join(map(str, path))


def raise_messages(
    messages: Sequence[Message],
    error: type[GanforgeError],
    locations: SourceLocations | None = None,
    cause: BaseException | None = None,
) -> NoReturn:
    """Raise one error that lists all messages, each with its key and place."""
    lines = []
    for message in messages:
        place = locations.find(message.path) if locations else None
        lines.append(f"{dotted(message.path)}{f' ({place})' if place else ''}: {message.text}")
    if len(lines) > 1:
        lines = [f"{len(lines)} errors:", *(f"  - {line}" for line in lines)]
    raise error("\n".join(lines)) from cause


def messages_of(
    err: pydantic.ValidationError,
    model: type[BaseModel],
    data: Mapping[str, Any],
    prefix: KeyPath = (),
) -> list[Message]:
    """One message per key of `data` that pydantic refuses.

    `prefix` is the path of `data` in the pipeline file.
    """
    texts: dict[KeyPath, list[str]] = {}
    for detail in err.errors(include_url=False):
        path = _path_in(data, detail["loc"], detail["type"])
        text = _text(detail, path, model)
        known = texts.setdefault(path, [])
        if text not in known:
            known.append(text)
    return [Message((*prefix, *path), " Or: ".join(found)) for path, found in texts.items()]


def _path_in(data: Any, loc: Sequence[str | int], kind: str) -> KeyPath:
    """The part of pydantic's location that is in the file; it also names union branches."""
    path: list[str | int] = []
    for part in loc:
        if isinstance(data, Mapping) and part in data:
            data = data[part]
        elif isinstance(data, list | tuple) and isinstance(part, int) and part < len(data):
            data = data[part]
        else:
            continue
        path.append(part)
    if kind == "missing":
        path.append(loc[-1])
    return tuple(path)


def _text(detail: Any, path: KeyPath, root: type[BaseModel]) -> str:
    kind, key, value = detail["type"], str(path[-1]) if path else "", detail["input"]
    if kind == "extra_forbidden":
        model = next(iter(models_in(type_at(root, path[:-1]))), root)
        names = [field.alias or name for name, field in model.model_fields.items()]
        return f"unknown key {key!r}. {_elsewhere(root, key)}{suggest(key, names)}"
    if kind == "missing":
        return f"is missing; add `{key}: ...` there."
    if kind in ("model_type", "dict_type"):
        return f"should be a mapping of keys to values (got {_shown(value)})."
    if kind == "string_pattern_mismatch":  # only the run's name has a pattern
        return (
            f"should consist of letters, digits, '.', '_' and '-', and begin with a letter or a "
            f"digit (got {_shown(value)})."
        )
    text = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
    text = str(text).replace("a valid tuple", "a list").replace("a valid dictionary", "a mapping")
    if kind == "value_error" and isinstance(value, Mapping):
        return text.removesuffix(".") + "."  # a rule between keys names their values itself
    return f"{text} (got {_shown(value)})."


def _shown(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) < _MAX_SHOWN else shown[: _MAX_SHOWN - 3] + "..."


def _elsewhere(root: type[BaseModel], key: str) -> str:
    """A sentence when the key exists in another section."""
    homes = [
        section
        for section, field in root.model_fields.items()
        for model in models_in(field.annotation)
        if key in model.model_fields
    ]
    return f"It belongs in {' or '.join(homes)}. " if homes else ""
