"""Load a pipeline file: `extends`, overrides, interpolation, and errors with file and line."""

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pydantic
import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ganforge.config.choices import KeyPath
from ganforge.config.find import find_pipeline
from ganforge.config.merge import Document
from ganforge.config.messages import messages_of, raise_messages
from ganforge.config.models import PLACES, DataConfig, PipelineConfig
from ganforge.config.source_locations import SourceLocations, yaml_locations
from ganforge.errors import ConfigError


def load_pipeline(path_or_name: str, overrides: Sequence[str] = ()) -> PipelineConfig:
    """Load and validate a pipeline file.

    A file may name others with `extends: base.yaml` (or a list): they are merged first, in order.
    Mappings merge key by key, lists are replaced. Where a file or an override names another
    component (`model.architecture`, `data.source.name`, ...), the earlier component's options are
    dropped.

    Args:
        path_or_name: a file, or the name of a packaged pipeline such as "quickstart".
        overrides: `section.key=value` with YAML values, e.g. "stages=[train]" or "augment=null".

    Raises:
        ConfigError: the file is missing, is not YAML, or is not a valid pipeline; lists all
            faults, each with file and line.
    """
    return _finish(_read(find_pipeline(path_or_name), ()), overrides)


def data_section(settings: Sequence[str]) -> DataConfig:
    """The data section given by settings such as "source.name=folder", without a file.

    Raises:
        ConfigError: a setting is not of that form, unknown, or of the wrong type.
    """
    rest = Document({"name": "data", "model": {"architecture": "none"}})
    return _finish(rest, [f"data.{setting}" for setting in settings]).data


def _finish(document: Document, overrides: Sequence[str]) -> PipelineConfig:
    """Apply overrides, fill in interpolations, validate."""
    for override in sorted(overrides, key=_names_no_component):
        _apply(document, override)
    data = _resolve(document)
    try:
        config = PipelineConfig.model_validate(data)
    except pydantic.ValidationError as err:
        messages = messages_of(err, PipelineConfig, data)
        raise_messages(messages, ConfigError, document.locations, err)
    return config.with_source_locations(document.locations)


def _read(path: Path, chain: tuple[Path, ...]) -> Document:
    """One file, merged over those it extends."""
    if path.resolve() in [p.resolve() for p in chain]:
        circle = " -> ".join(_display(p) for p in (*chain, path))
        raise ConfigError(f"Pipeline files extend each other in a circle: {circle}. Break it.")
    own, merged = _parse(path), Document()
    for parent in _pop_extends(own):
        try:
            found = find_pipeline(parent, path.parent)
        except ConfigError as err:
            raise ConfigError(f"extends ({own.locations.find(('extends',))}): {err}") from err
        merged.merge(_read(found, (*chain, path)))
    merged.merge(own)
    return merged


def _parse(path: Path) -> Document:
    file = _display(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as err:
        raise ConfigError(f"Cannot read {file}: {err}. It must be a UTF-8 text file.") from err
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is None:
            raise ConfigError(f"{file} is empty. A pipeline needs at least `name` and `model`.")
        if not isinstance(root, yaml.MappingNode):
            raise ConfigError(
                f"{file}:{root.start_mark.line + 1} is not a mapping of sections; write "
                f"`name: ...`, `model: ...` and so on, each on its own line."
            )
        locations = yaml_locations(root, file)
        values: Any = OmegaConf.to_container(OmegaConf.load(io.StringIO(text)), resolve=False)
    except yaml.MarkedYAMLError as err:
        line = f":{err.problem_mark.line + 1}" if err.problem_mark else ""
        fault = "; ".join(part.strip() for part in (err.context, err.problem) if part)
        raise ConfigError(
            f"{file}{line} is not valid YAML: {fault}. Check indentation, quotes and colons there."
        ) from err
    except (yaml.YAMLError, OmegaConfBaseException, ValueError) as err:
        raise ConfigError(f"{file} cannot be read: {err}. Correct the value there.") from err
    return Document(values, locations)


def _display(path: Path) -> str:
    """The path as a user would write it."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def _pop_extends(document: Document) -> list[str]:
    value = document.values.pop("extends", None)
    names = [value] if isinstance(value, str) else value
    if names is None:
        return []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError(
            f"extends: {value!r} is not a file name ({document.locations.find(('extends',))}). "
            f"Write `extends: base.yaml`, or a list of files."
        )
    return names


def _names_no_component(override: str) -> bool:
    """False for an override that may name a component: it applies before others set options."""
    path = tuple(key for key in _key_path(override.partition("=")[0]) if isinstance(key, str))
    return not any((*place.path, place.name_key)[: len(path)] == path for place in PLACES)


def _key_path(key: str) -> KeyPath:
    """`loss.regularizers.0.gamma` or `loss.regularizers[0].gamma` as a path."""
    parts = key.strip().replace("[", ".").replace("]", "").split(".")
    return tuple(int(part) if part.isdigit() else part for part in parts)


def _apply(document: Document, override: str) -> None:
    """Merge one `key=value` over the document."""
    key, separator, text = override.partition("=")
    path = _key_path(key)
    if not separator or "" in path:
        raise ConfigError(
            f"Override {override!r} is not of the form section.key=value, "
            f"e.g. train.total_kimg=5 or stages=[train,evaluate]."
        )
    locations = SourceLocations()
    locations.put(path, f"override {override!r}")
    try:
        parsed: Any = OmegaConf.to_container(
            OmegaConf.from_dotlist([f"value={text}"]), resolve=False
        )
        value = parsed["value"]
        for part in reversed(path):
            value = {part: value}
        document.merge(Document(value, locations))
    except (yaml.YAMLError, OmegaConfBaseException, ConfigError, ValueError) as err:
        reason = " ".join(str(err).split())
        raise ConfigError(
            f"Override {override!r} cannot be applied: {reason} Check the key against the "
            f"pipeline file, and quote the value for the shell if it has spaces or brackets."
        ) from err


def _resolve(document: Document) -> dict[str, Any]:
    """The plain values, with interpolations filled in."""
    try:
        config = OmegaConf.create(document.values)
        data = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as err:
        key = str(err.full_key or "")
        reason = str(err).splitlines()[0]
        raise ConfigError(
            f"{key} ({document.locations.find(_key_path(key))}): {reason}. "
            f"Name a key that exists, or set a value: {key}=..."
        ) from err
    return dict(data)  # type: ignore[arg-type]  # a DictConfig gives a dict
