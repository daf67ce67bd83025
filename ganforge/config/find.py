"""Find pipeline files: by path, or among those that come with ganforge by name."""

import difflib
from pathlib import Path

from ganforge.errors import ConfigError

_SUFFIXES = (".yaml", ".yml")
_MOST_LISTED = 5


def packaged_pipelines() -> dict[str, Path]:
    """The pipelines that come with ganforge, by name, e.g. "quick/cyclegan_emoji"."""
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
    """The file for a path or the name of a packaged pipeline.

    Paths are relative to `folder`, by default the working directory; names may have a suffix.

    Raises:
        ConfigError: there is no such file; the message lists similar names.
    """
    path = (folder or Path()) / Path(path_or_name).expanduser()
    if path.is_file():
        return path
    packaged = packaged_pipelines()
    name = path_or_name.removesuffix(".yaml").removesuffix(".yml")
    if name in packaged:
        return packaged[name]
    folder = path if path.is_dir() else path.parent
    beside = sorted(p for p in folder.glob("*") if p.suffix in _SUFFIXES)
    near = difflib.get_close_matches(name, packaged, n=3)
    near += [
        str(p) for p in beside if difflib.SequenceMatcher(None, p.stem, path.stem).ratio() > 0.6
    ]
    if path.is_dir():
        others = f", or run one of the files in it: {_listed(beside)}" if beside else ""
        raise ConfigError(
            f"{path_or_name!r} is a folder, not a pipeline file. To train on the images in it, "
            f"first write a pipeline file for them: ganforge new {path_or_name}{others}."
        )
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    raise ConfigError(
        f"Pipeline file {path_or_name!r} does not exist (looked in {path.parent.resolve()} and "
        f"among the packaged pipelines). {hint}Give the path of a YAML file, or a packaged name: "
        f"{', '.join(sorted(packaged)) or '(none)'}."
    )


def _listed(paths: list[Path]) -> str:
    more = ", ..." if len(paths) > _MOST_LISTED else ""
    return ", ".join(map(str, paths[:_MOST_LISTED])) + more
