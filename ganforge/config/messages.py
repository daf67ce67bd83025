"""Turn pydantic's errors into sentences: the key, the fault, the place, the nearest valid name."""

import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import pydantic
from pydantic import BaseModel

from ganforge.config.source_locations import KeyPath, Origins
from ganforge.errors import GanforgeError, suggest


@dataclass(frozen=True)
class Fault:
    """One thing wrong in a pipeline file."""

    path: KeyPath
    message: str

    def text(self, origins: Origins) -> str:
        """The line to show: path, place, message."""
        place = origins.find(self.path)
        return f"{dotted(self.path)}{f' ({place})' if place else ''}: {self.message}"


def dotted(path: Sequence[str | int]) -> str:
    """A key path as it is written in overrides."""
    return ".".join(str(part) for part in path)


def raise_faults(
    faults: Sequence[Fault],
    origins: Origins,
    error: type[GanforgeError],
    cause: BaseException | None,
) -> NoReturn:
    """Raise one error that lists all faults."""
    lines = [fault.text(origins) for fault in faults]
    if len(lines) > 1:
        lines = [f"{len(lines)} errors in the pipeline file:", *(f"  - {line}" for line in lines)]
    raise error("\n".join(lines)) from cause


def describe_faults(
    err: pydantic.ValidationError,
    model: type[BaseModel],
    data: Mapping[str, Any],
    prefix: KeyPath = (),
) -> list[Fault]:
    """One fault per key that pydantic refuses.

    Args:
        err: what pydantic raised.
        model: the model that was validated.
        data: what it was validated against.
        prefix: path of `data` in the pipeline file.
    """
    messages: dict[KeyPath, list[str]] = {}
    for detail in err.errors(include_url=False):
        path = _path_in(data, detail["loc"], detail["type"])
        message = _message(detail, path, model)
        known = messages.setdefault(path, [])
        if message not in known:
            known.append(message)
    return [Fault((*prefix, *path), " Or: ".join(found)) for path, found in messages.items()]


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


def _message(detail: Any, path: KeyPath, root: type[BaseModel]) -> str:
    kind, key = detail["type"], str(path[-1]) if path else ""
    if kind == "extra_forbidden":
        model = _model_at(root, path[:-1])
        names = [field.alias or name for name, field in model.model_fields.items()]
        return f"unknown key {key!r}. {_elsewhere(root, key)}{suggest(key, names)}"
    if kind == "missing":
        return f"is missing; add `{key}: ...` there."
    if kind in ("model_type", "dict_type"):
        return f"should be a mapping of keys to values (got {_shown(detail['input'])})."
    if kind == "string_pattern_mismatch":  # of a name: of nothing else is one asked
        return (
            f"should be made of letters, digits, '.', '_' and '-', and begin with a letter or a "
            f"digit (got {_shown(detail['input'])})."
        )
    text = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
    text = str(text).replace("a valid tuple", "a list").replace("a valid dictionary", "a mapping")
    if kind == "value_error" and isinstance(detail["input"], Mapping):
        return text.removesuffix(".") + "."  # a rule over several keys names their values itself
    return f"{text} (got {_shown(detail['input'])})."


def _shown(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) < 80 else shown[:77] + "..."


def _elsewhere(root: type[BaseModel], key: str) -> str:
    """A sentence when the key exists in another section."""
    homes = [
        section
        for section, field in root.model_fields.items()
        for model in _models(field.annotation)
        if key in model.model_fields
    ]
    return f"It belongs in {' or '.join(homes)}. " if homes else ""


def _model_at(root: type[BaseModel], path: KeyPath) -> type[BaseModel]:
    """The model that describes the mapping at `path`."""
    model = root
    for part in path:
        field = model.model_fields.get(part) if isinstance(part, str) else None
        if field is not None:
            model = next(iter(_models(field.annotation)), model)
    return model


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The pydantic models inside an annotation such as `tuple[Model, ...] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in _models(part)]
