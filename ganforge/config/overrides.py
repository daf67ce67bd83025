"""Settings of the form `section.key=value`: which key, and which value its text means.

A value is YAML, but text fields take the text as typed: `#`, `: ` and digits have no meaning in a
folder's name.
"""

import types
import typing
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel

from ganforge.config.choices import ComponentSection, KeyPath
from ganforge.config.merge import Document, place_at
from ganforge.config.models import PLACES, PipelineConfig
from ganforge.config.source_locations import SourceLocations
from ganforge.errors import ConfigError

OptionsModel = Callable[[str, str], type[BaseModel] | None]
"""(kind, name) -> the options of that component; None when it is unknown."""
_UNIONS = (typing.Union, types.UnionType, typing.Annotated)


def apply_overrides(
    document: Document, overrides: Sequence[str], options_model: OptionsModel
) -> None:
    """Merge each `key=value` over the document; those that name components come first.

    Raises:
        ConfigError: an override is not of that form, not YAML, or below a missing list element.
    """
    for override in sorted(overrides, key=_names_no_component):
        key, separator, text = override.partition("=")
        path = key_path(key)
        if not separator or "" in path:
            raise ConfigError(
                f"Override {override!r} is not of the form section.key=value, "
                f"e.g. train.total_kimg=5 or stages=[train,evaluate]."
            )
        try:
            value = parse_value(text, _annotation(path, document, options_model))
            document.merge(_nested(path, value, f"override {override!r}"))
        except ConfigError as err:
            raise ConfigError(
                f"Override {override!r} cannot be applied: {err} Check the key against the "
                f"pipeline file, and quote the value for the shell if it has spaces or brackets."
            ) from err


def key_path(key: str) -> KeyPath:
    """`loss.regularizers.0.gamma` or `loss.regularizers[0].gamma` as a path."""
    parts = key.strip().replace("[", ".").replace("]", "").split(".")
    return tuple(int(part) if part.isdigit() else part for part in parts)


def parse_value(text: str, annotation: Any = None) -> Any:
    """The value that a text stands for.

    Args:
        text: as typed.
        annotation: the type of the field; None when it is unknown. Then only text that YAML reads
            as something else than text, such as a number, is not taken as typed.

    Raises:
        ConfigError: it is not YAML, and the field is not text.
    """
    members = set(_members(annotation))
    is_text = str in members and not members & {int, float, bool}
    is_quoted = text[:1] in ("'", '"') and len(text) > 1 and text[0] == text[-1]
    is_flow = text.lstrip()[:1] in ("[", "{") and not (is_text and members <= {str, type(None)})
    if is_text and not is_quoted and not is_flow:
        is_null = type(None) in members and text in ("", "null")
        return None if is_null else text
    try:
        parsed: Any = OmegaConf.to_container(OmegaConf.from_dotlist([f"value={text}"]))
    except (yaml.YAMLError, OmegaConfBaseException, ValueError) as err:
        if not is_quoted and not is_flow:
            return text
        raise ConfigError(f"{' '.join(str(err).split())}.") from err
    value = parsed["value"]
    return text if isinstance(value, str | dict | list) and not is_quoted and not is_flow else value


def _names_no_component(override: str) -> bool:
    """False for an override that may name a component, whose options others may set."""
    path = tuple(key for key in key_path(override.partition("=")[0]) if isinstance(key, str))
    return not any((*place.path, place.name_key)[: len(path)] == path for place in PLACES)


def _nested(path: KeyPath, value: Any, place: str) -> Document:
    """A document that holds only `value`, at `path`."""
    locations = SourceLocations()
    locations.put(path, place)
    for key in reversed(path):
        value = {key: value}
    return Document(value, locations)


def _annotation(path: KeyPath, document: Document, options_model: OptionsModel) -> Any:
    """The type of the field at `path`: of the pipeline file, or among a component's options."""
    annotation: Any = PipelineConfig
    for length, key in enumerate(path, start=1):
        inside = next(_inside(annotation, key), None)
        place = place_at(path[: length - 1])
        if inside is None and place is not None and place.section is not None:
            name = _name_at(path[: length - 1], document, place.section)
            options = None if name is None else options_model(place.kind, name)
            inside = next(_inside(options, key), None)
        annotation = inside
    return annotation


def _name_at(path: KeyPath, document: Document, section: type[ComponentSection]) -> str | None:
    """The name of the component chosen at `path`, if it is known."""
    value: Any = document.values
    for key in path:
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            return None
    if isinstance(value, dict):
        value = value.get(section.name_key, section.model_fields[section.name_key].default)
    return value if isinstance(value, str) else None


def _inside(annotation: Any, key: str | int) -> Iterator[Any]:
    """The types that a value of this type may hold at `key`."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, field in annotation.model_fields.items():
            if key in (name, field.alias):
                yield field.annotation
    elif origin in _UNIONS:
        for argument in arguments:
            yield from _inside(argument, key)
    elif origin is dict:
        yield arguments[1]
    elif origin is tuple and isinstance(key, int):
        yield from arguments[:1] if Ellipsis in arguments else arguments[key : key + 1]


def _members(annotation: Any) -> Iterator[Any]:
    """The types of which a value may be; `Literal` gives the types of its values."""
    if typing.get_origin(annotation) in _UNIONS:
        for argument in typing.get_args(annotation):
            yield from _members(argument)
    elif typing.get_origin(annotation) is typing.Literal:
        yield from map(type, typing.get_args(annotation))
    else:
        yield annotation
