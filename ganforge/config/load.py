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

from ganforge.config.find import find_pipeline
from ganforge.config.merge import Document
from ganforge.config.messages import messages_of, raise_messages
from ganforge.config.models import DataConfig, PipelineConfig
from ganforge.config.overrides import OptionsModel, apply_overrides, key_path
from ganforge.config.source_locations import yaml_locations
from ganforge.errors import ConfigError


def _no_options(kind: str, name: str) -> None:
    """No component is known."""


def load_pipeline(
    path_or_name: str, overrides: Sequence[str] = (), options_model: OptionsModel = _no_options
) -> PipelineConfig:
    """Load and validate a pipeline file.

    A file may name others with `extends: base.yaml` (or a list): they are merged first, in order.
    Mappings merge key by key, lists are replaced. Where a file or an override names another
    component (`model.architecture`, `data.source.name`, ...), the earlier component's options are
    dropped.

    Args:
        path_or_name: a file, or the name of a packaged pipeline such as "quickstart".
        overrides: `section.key=value`, e.g. "stages=[train]" or "augment=null". A text field takes
            the value as typed; other values are YAML.
        options_model: `Registry.options_model`, which tells text options from others; without it,
            an option whose text is a number becomes a number.

    Raises:
        ConfigError: the file is missing, is not YAML, or is not a valid pipeline; lists all
            faults, each with file and line.
    """
    return _finish(_read(find_pipeline(path_or_name), ()), overrides, options_model)


def data_section(settings: Sequence[str], options_model: OptionsModel = _no_options) -> DataConfig:
    """The data section given by settings such as "source.name=folder", without a file.

    Errors are those of `load_pipeline`.
    """
    rest = Document({"name": "data", "model": {"architecture": "none"}})
    return _finish(rest, [f"data.{setting}" for setting in settings], options_model).data


def _finish(
    document: Document, overrides: Sequence[str], options_model: OptionsModel
) -> PipelineConfig:
    """Apply overrides, fill in interpolations, validate."""
    apply_overrides(document, overrides, options_model)
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
    except (yaml.YAMLError, OmegaConfBaseException, ValueError, RecursionError) as err:
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


def _expand_home(value: Any) -> Any:
    """`~/photos` as the path of that folder, at any depth."""
    if isinstance(value, dict):
        return {key: _expand_home(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_expand_home(inner) for inner in value]
    return os.path.expanduser(value) if isinstance(value, str) else value


def _resolve(document: Document) -> dict[str, Any]:
    """The plain values, with interpolations filled in and `~` expanded."""
    try:
        config = OmegaConf.create(document.values)
        data = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as err:
        key = str(err.full_key or "")
        reason = str(err).splitlines()[0]
        raise ConfigError(
            f"{key} ({document.locations.find(key_path(key))}): {reason}. "
            f"Name a key that exists, or set a value: {key}=..."
        ) from err
    return dict(_expand_home(data))
