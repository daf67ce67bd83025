"""`ganforge plugins new`: a complete plugin package that works as it is."""

import importlib.resources
import keyword
import re
import shutil
from pathlib import Path

import jinja2

from ganforge import __version__
from ganforge.errors import PluginConflict, PluginError
from ganforge.io.atomic import naming
from ganforge.registry.plugins import Registry

# Whose class would hide another name of the template.
_RESERVED = frozenset(
    "none true false any tensor field block generator discriminator architecture objective".split()
)
_NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")
# Template -> where it goes in the new package.
_FILES = {
    "pyproject.toml.jinja": "pyproject.toml",
    "README.md.jinja": "README.md",
    "plugin.py.jinja": "{module}/__init__.py",
    "architecture.py.jinja": "{module}/architecture.py",
    "test.py.jinja": "tests/test_{name}.py",
    "docs.md.jinja": "docs/{name}.md",
    "pipeline.yaml.jinja": "pipelines/{name}.yaml",
}


def new_plugin(name: str, out: Path, registry: Registry) -> Path:
    """Write a plugin package that installs, trains and passes `ganforge plugins check`.

    Args:
        name: the architecture's name in lower case, e.g. "tiny-gan", or "ganforge-tiny-gan".
        out: parent of the new folder `ganforge-NAME`, which is returned.
        registry: the installed plugins, whose names are taken.

    Raises:
        PluginError: the name is not usable, or the folder is there and not empty.
        PluginConflict: an installed plugin has the name.
    """
    short = re.sub(r"^ganforge[-_]", "", name)
    if not _NAME.fullmatch(short):
        raise PluginError(
            f"'{name}' cannot name a plugin: use lower-case letters and digits, in words joined "
            f"by '-' or '_' and beginning with a letter, e.g. tiny-gan."
        )
    key = short.replace("-", "_")
    if key in _RESERVED or keyword.iskeyword(key):
        raise PluginError(
            f"'{name}' means something else in the package's code. Choose another name, e.g. "
            f"{short}-gan."
        )
    if key in registry.plugins or any(c.name == key for c in registry.components()):
        raise PluginConflict(
            f"The name '{key}' is taken by an installed plugin or component. Choose another."
        )
    folder = out / f"ganforge-{key.replace('_', '-')}"
    if folder.exists() and any(folder.iterdir()):
        raise PluginError(f"{folder} exists and is not empty. Remove it, or give another --out.")
    try:
        with naming(folder):
            _write(folder, key)
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def _write(folder: Path, name: str) -> None:
    environment = jinja2.Environment(
        keep_trailing_newline=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    templates = importlib.resources.files("ganforge.plugin_tools").joinpath("templates")
    names = {
        "name": name,
        "module": f"ganforge_{name}",
        "distribution": f"ganforge-{name.replace('_', '-')}",
        "class_name": "".join(word.capitalize() for word in name.split("_")),
        "ganforge_version": __version__,
    }
    for template, target in _FILES.items():
        text = templates.joinpath(template).read_text(encoding="utf-8")
        path = folder / target.format(**names)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(environment.from_string(text).render(**names), encoding="utf-8")
