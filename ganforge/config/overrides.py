"""Settings of the form `section.key=value`: which key, and which value its text means.

A value is YAML, but text fields take the text as typed: `#`, `: ` and digits have no meaning in a
folder's name.
"""

from collections.abc import Callable, Sequence
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel

from ganforge.config.base import types_in
from ganforge.config.choices import KeyPath, as_pattern, type_at
from ganforge.config.merge import Document, place_at
from ganforge.config.models import PLACES, PipelineConfig
from ganforge.config.source_locations import SourceLocations
from ganforge.errors import ConfigError

OptionsModel = Callable[[str, str], type[BaseModel] | None]
"""(kind, name) -> the options of that component; None when it is unknown."""


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
            value = parse_value(text, _type_at(path, document, options_model))
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
    """The value that a typed text stands for in a field of this type.

    Where the type is unknown (None), text that YAML does not read as, say, a number stays text.

    Raises:
        ConfigError: it is not YAML, and the field is not text.
    """
    types = set(types_in(annotation))
    is_quoted = text[:1] in ("'", '"') and len(text) > 1 and text[0] == text[-1]
    is_flow = text.lstrip()[:1] in ("[", "{") and annotation not in (str, str | None)
    if types - {type(None)} == {str} and not is_quoted and not is_flow:
        return None if type(None) in types and text in ("", "null") else text
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
    path = as_pattern(key_path(override.partition("=")[0]))
    return not any((*place.pattern, place.name_key)[: len(path)] == path for place in PLACES)


def _nested(path: KeyPath, value: Any, place: str) -> Document:
    """A document that holds only `value`, at `path`."""
    locations = SourceLocations()
    locations.put(path, place)
    for key in reversed(path):
        value = {key: value}
    return Document(value, locations)


def _type_at(path: KeyPath, document: Document, options_model: OptionsModel) -> Any:
    """The type of the field at `path`: of the pipeline file, or of a component's options."""
    for length in reversed(range(len(path))):
        place = place_at(path[:length])
        name = None if place is None else place.name_of(document.value_at(path[:length]))
        if place is not None and name and type_at(place.section, path[length:]) is None:
            return type_at(options_model(place.kind, name), path[length:])
    return type_at(PipelineConfig, path)
