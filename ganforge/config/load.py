"""Load a pipeline file: `extends`, overrides, interpolation, and errors with file and line."""

import difflib
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pydantic
import yaml
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ganforge.config.messages import describe_faults, dotted, raise_faults
from ganforge.config.models import DataConfig, LossConfig, PipelineConfig
from ganforge.config.source_locations import KeyPath, Origins, yaml_origins
from ganforge.errors import ConfigError

# Sections that choose a component, and the key that names it.
_COMPONENT_SECTIONS: dict[KeyPath, str] = {
    ("model",): "architecture",
    ("loss",): "name",
    ("augment",): "name",
    ("data", "source"): "name",
    ("evaluate", "extractor"): "name",
}
_SUFFIXES = (".yaml", ".yml")


def load_pipeline(path_or_name: str, overrides: Sequence[str] = ()) -> PipelineConfig:
    """Load and validate a pipeline file.

    A file may name others with `extends: base.yaml` (or a list): they are merged first, in order.
    Mappings merge key by key, lists are replaced. Where a file or an override names another
    component (`model.architecture`, `loss.name`, ...), the earlier component's options go.

    Args:
        path_or_name: a file, or the name of a packaged pipeline such as "quickstart".
        overrides: `section.key=value` with YAML values, e.g. "stages=[train]" or "augment=null".

    Raises:
        ConfigError: the file is missing, is not YAML, or is not a valid pipeline; all faults are
            listed, each with file and line.
    """
    return _finish(*_read(find_pipeline(path_or_name), ()), overrides)


def data_section(settings: Sequence[str]) -> DataConfig:
    """The data section that settings such as "source.name=folder" make, without a file.

    Raises:
        ConfigError: a setting is not of that form, unknown, or of the wrong type.
    """
    rest = OmegaConf.create({"name": "data", "model": {"architecture": "none"}})
    return _finish(rest, Origins(), [f"data.{setting}" for setting in settings]).data


def _finish(merged: DictConfig, origins: Origins, overrides: Sequence[str]) -> PipelineConfig:
    """Apply overrides, fill in interpolations, validate."""
    for override in sorted(overrides, key=_names_no_component):
        _apply(merged, origins, override)
    data = _resolve(merged, origins)
    try:
        config = PipelineConfig.model_validate(data)
    except pydantic.ValidationError as err:
        faults = describe_faults(err, PipelineConfig, data)
        raise_faults(faults, origins, ConfigError, err)
    return config.with_origins(origins)


def packaged_pipelines() -> dict[str, Path]:
    """The pipelines that come with ganforge, by name ("quick/cyclegan_emoji")."""
    package = Path(__file__).parents[1]
    roots = [package / "pipelines"]
    if (package.parent / "pyproject.toml").is_file():
        roots.append(package.parent / "pipelines")  # an editable install or a checkout
    found: dict[str, Path] = {}
    for root in roots:
        for path in sorted(root.rglob("*")):
            if path.suffix in _SUFFIXES:
                found.setdefault(path.relative_to(root).with_suffix("").as_posix(), path)
    return found


def find_pipeline(path_or_name: str, folder: Path | None = None) -> Path:
    """The file that a path or the name of a packaged pipeline means.

    Args:
        path_or_name: a path, relative to `folder`, or a packaged name, with or without suffix.
        folder: where relative paths start; the working directory when omitted.

    Raises:
        ConfigError: there is no such file; near names are listed.
    """
    path = (folder or Path()) / Path(path_or_name).expanduser()
    if path.is_file():
        return path
    packaged = packaged_pipelines()
    name = path_or_name.removesuffix(".yaml").removesuffix(".yml")
    if name in packaged:
        return packaged[name]
    beside = _yaml_files(path if path.is_dir() else path.parent)
    near = difflib.get_close_matches(name, packaged, n=3)
    near += [
        str(p) for p in beside if difflib.SequenceMatcher(None, p.stem, path.stem).ratio() > 0.6
    ]
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    fault = "is a folder" if path.is_dir() else "does not exist"
    raise ConfigError(
        f"Pipeline file {path_or_name!r} {fault} (looked in {path.parent.resolve()} and among the "
        f"packaged pipelines). {hint}Give the path of a YAML file, or a packaged name: "
        f"{', '.join(sorted(packaged)) or '(none)'}."
    )


def _yaml_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.suffix in _SUFFIXES)


# Reading ---------------------------------------------------------------------------------------


def _read(path: Path, chain: tuple[Path, ...]) -> tuple[DictConfig, Origins]:
    """One file, merged over those it extends."""
    if path.resolve() in [p.resolve() for p in chain]:
        circle = " -> ".join(_display(p) for p in (*chain, path))
        raise ConfigError(f"Pipeline files extend each other in a circle: {circle}. Break it.")
    config, own = _parse(path)
    parents = _extends(config, own)
    merged, origins = OmegaConf.create({}), Origins()
    for parent in parents:
        try:
            found = find_pipeline(parent, path.parent)
        except ConfigError as err:
            raise ConfigError(f"extends ({own.find(('extends',))}): {err}") from err
        _merge(merged, origins, *_read(found, (*chain, path)))
    _merge(merged, origins, config, own)
    return merged, origins


def _parse(path: Path) -> tuple[DictConfig, Origins]:
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
                f"`name: ...`, `model: ...` and so on, each on a line of its own."
            )
        origins = yaml_origins(root, file)
        config = OmegaConf.load(io.StringIO(text))
    except yaml.MarkedYAMLError as err:
        line = f":{err.problem_mark.line + 1}" if err.problem_mark else ""
        fault = "; ".join(part.strip() for part in (err.context, err.problem) if part)
        raise ConfigError(
            f"{file}{line} is not valid YAML: {fault}. Check indentation, quotes and colons there."
        ) from err
    except (yaml.YAMLError, OmegaConfBaseException, ValueError) as err:
        raise ConfigError(f"{file} cannot be read: {err}. Correct the value there.") from err
    if not isinstance(config, DictConfig):
        raise ConfigError(f"{file} is not a mapping of sections. Write `name: ...` and so on.")
    _spell_out(config)
    return config, origins


def _display(path: Path) -> str:
    """The path as a user would write it."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def _extends(config: DictConfig, origins: Origins) -> list[str]:
    value = config.pop("extends", None)
    names = [value] if isinstance(value, str) else value
    if names is None:
        return []
    if not isinstance(names, list | ListConfig) or not all(isinstance(n, str) for n in names):
        raise ConfigError(
            f"extends: {value!r} is not a file name ({origins.find(('extends',))}). "
            f"Write `extends: base.yaml`, or a list of files."
        )
    return list(names)


# Merging ---------------------------------------------------------------------------------------


def _spell_out(config: DictConfig) -> None:
    """Write `loss: hinge` as `loss: {name: hinge}`, so that both forms merge alike."""
    for section, key in _COMPONENT_SECTIONS.items():
        value = _raw(config, section)
        if isinstance(value, str) and "${" not in value:
            OmegaConf.update(config, dotted(section), {key: value}, force_add=True)


def _raw(config: DictConfig, path: KeyPath) -> Any:
    """The value at `path` before interpolation, or None."""
    value: Any = config
    for key in path:
        if not isinstance(value, DictConfig) or key not in value.keys():  # noqa: SIM118
            return None
        if OmegaConf.is_missing(value, key) or OmegaConf.is_interpolation(value, key):
            return None
        value = value[key]
    return value


def _merge(base: DictConfig, origins: Origins, top: DictConfig, top_origins: Origins) -> None:
    for section, key in _COMPONENT_SECTIONS.items():
        _drop_options_of_another(base, section, key, _raw(top, (*section, key)))
    base.merge_with(top)
    origins.update(top_origins)


def _drop_options_of_another(base: DictConfig, section: KeyPath, key: str, name: object) -> None:
    """Remove the options of a component that is about to be replaced by another."""
    chosen = _raw(base, section)
    if name is None or not isinstance(chosen, DictConfig) or chosen.get(key) in (None, name):
        return
    kept = set(LossConfig.model_fields) if section == ("loss",) else set()
    for option in [k for k in chosen if k not in kept]:
        del chosen[option]


def _names_no_component(override: str) -> bool:
    key = _key_path(override.partition("=")[0])
    return key not in _COMPONENT_SECTIONS and _COMPONENT_SECTIONS.get(key[:-1]) != key[-1]


def _key_path(key: str) -> KeyPath:
    """`loss.regularizers.0.gamma` or `loss.regularizers[0].gamma` as a path."""
    parts = key.strip().replace("[", ".").replace("]", "").split(".")
    return tuple(int(part) if part.isdigit() else part for part in parts)


def _apply(config: DictConfig, origins: Origins, override: str) -> None:
    """Set one `key=value` in `config`."""
    key, separator, text = override.partition("=")
    path = _key_path(key)
    if not separator or "" in path:
        raise ConfigError(
            f"Override {override!r} is not of the form section.key=value, "
            f"e.g. train.total_kimg=5 or stages=[train,evaluate]."
        )
    try:
        value = OmegaConf.from_dotlist([f"value={text}"])
        plain: Any = OmegaConf.to_container(value, resolve=False)
        written = _set(config, path, plain["value"])
    except (yaml.YAMLError, OmegaConfBaseException, TypeError, IndexError, ValueError) as err:
        reason = " ".join(str(err).split())
        raise ConfigError(
            f"Override {override!r} cannot be applied: {reason}. Check the key against "
            f"the pipeline file, and quote the value for the shell if it has spaces or brackets."
        ) from err
    own = Origins()
    own.put_value(path, written, f"override {override!r}")
    origins.update(own)


def _set(config: DictConfig, path: KeyPath, value: Any) -> Any:
    """Put `value` at `path`; another component's options go. Returns the value in full form."""
    for length in range(1, len(path)):
        outer = OmegaConf.select(config, dotted(path[:length]))
        if not (outer is None or isinstance(outer, DictConfig | ListConfig)):
            raise ValueError(f"{dotted(path[:length])} is the value {outer!r}, not a section")
    for section, name_key in _COMPONENT_SECTIONS.items():
        if path == section and isinstance(value, str) and "${" not in value:
            value = {name_key: value}
        name = value.get(name_key) if path == section and isinstance(value, dict) else None
        if path == (*section, name_key):
            name = value
        _drop_options_of_another(config, section, name_key, name)
    OmegaConf.update(config, dotted(path), value, merge=True, force_add=True)
    return value


def _resolve(config: DictConfig, origins: Origins) -> dict[str, Any]:
    """A plain mapping with interpolations filled in."""
    try:
        data = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as err:
        key = str(err.full_key or "")
        reason = str(err).splitlines()[0]
        raise ConfigError(
            f"{key} ({origins.find(_key_path(key))}): {reason}. "
            f"Name a key that exists, or set a value: {key}=..."
        ) from err
    return dict(data)  # type: ignore[arg-type]  # a DictConfig gives a dict
