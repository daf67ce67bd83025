"""`ganforge plugins check` as a library: all checks of a plugin, and what came of them."""

import ast
import importlib.metadata
import importlib.util
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from ganforge.errors import GanforgeError, PluginContractError, PluginNotFound, suggest
from ganforge.interfaces.architecture import Architecture
from ganforge.interfaces.component import Component
from ganforge.interfaces.derivation import Derivation
from ganforge.plugin_tools.cases import cases_of
from ganforge.plugin_tools.contract import CHECKS, check_builds
from ganforge.plugin_tools.derivation_contract import check_derivation
from ganforge.plugin_tools.ranks import compare_ranks
from ganforge.registry.plugins import Plugin, Registry, get_registry, snake_case

_PUBLIC = ("api", "layers")


@dataclass(frozen=True)
class Outcome:
    """The outcome of one check of one subject."""

    check: str
    subject: str
    status: Literal["passed", "failed", "skipped"]
    message: str = ""

    def to_dict(self) -> dict[str, str]:
        """For --json."""
        return asdict(self)


def find_components(name: str, registry: Registry) -> dict[Plugin, list[type[Component[Any]]]]:
    """The components that `name` means, by plugin.

    It is an entry point, a distribution or a component; hyphens and underscores are alike.

    Raises:
        PluginNotFound: nothing installed has that name.
    """
    wanted, known = snake_case(name), set()
    found: dict[Plugin, list[type[Component[Any]]]] = {}
    for component in registry.components():
        plugin = registry.plugin_of(component)
        names = (plugin.name, plugin.distribution, component.name)
        known |= set(names)
        if wanted in map(snake_case, names):
            found.setdefault(plugin, []).append(component)
    if not found:
        raise PluginNotFound(
            f"No installed plugin, distribution or component is called '{name}'. "
            f"{suggest(name, known)} Install it first: pip install -e PATH."
        )
    return found


def check_plugin(name: str) -> Iterator[Outcome]:
    """Run every check on what `find_components` finds, one outcome at a time."""
    for plugin, components in find_components(name, get_registry()).items():
        yield _outcome("imports only the public API", plugin.name, partial(check_imports, plugin))
        for component in components:
            label = f"{component.kind} {component.name}"
            yield _outcome("is described", label, partial(check_described, component))
            if issubclass(component, Architecture):
                yield from _check_architecture(component, plugin)
            if issubclass(component, Derivation):
                yield _outcome("keeps its contract", label, partial(check_derivation, component))


def _check_architecture(architecture: type[Architecture[Any]], plugin: Plugin) -> Iterator[Outcome]:
    name = architecture.name
    yield _outcome("has a docs page", name, partial(check_documented, name, plugin))
    try:
        cases = cases_of(name)
    except GanforgeError as err:
        yield Outcome("can be built small", name, "failed", str(err))
        return
    for case in cases:
        is_built = True
        for check, function in CHECKS.items():
            outcome = Outcome(check, case.label, "skipped", "it does not build")
            if is_built:
                outcome = _outcome(check, case.label, partial(function, case))
                is_built = outcome.status != "failed" or function is not check_builds
            yield outcome
    try:
        verdicts = compare_ranks([name])
    except PluginContractError as err:
        verdicts = {name: str(err)}
    for label, fault in verdicts.items():
        yield Outcome("1 and 2 ranks agree", label, "failed" if fault else "passed", fault)


def _outcome(check: str, subject: str, run: Callable[[], str | None]) -> Outcome:
    """Run one check; a string it returns says why it was skipped."""
    try:
        skipped = run()
    except GanforgeError as err:
        return Outcome(check, subject, "failed", str(err))
    except Exception as err:  # noqa: BLE001  # a plugin may fail in any way; name it
        return Outcome(check, subject, "failed", f"{type(err).__name__}: {err}")
    return Outcome(check, subject, "skipped" if skipped else "passed", skipped or "")


def check_described(component: type[Component[Any]]) -> None:
    """Refuse a component without docstring, and options that do not explain themselves."""
    if not (component.__doc__ or "").strip() or component.__doc__ == Component.__doc__:
        raise PluginContractError(
            f"{component.__name__} has no docstring. Say in one line what it is; help and the "
            f"JSON schema show it."
        )
    silent = [n for n, field in component.Config.model_fields.items() if _is_silent(field)]
    if silent:
        raise PluginContractError(
            f"Options of '{component.name}' have no description: {', '.join(silent)}. Use "
            f"Field(..., description=...) with the unit."
        )


def _is_silent(field: Any) -> bool:
    # A flag or a choice of words explains itself; a number without unit does not.
    return field.description is None and field.annotation in (int, float, int | None, float | None)


def check_imports(plugin: Plugin) -> str | None:
    """Refuse a plugin of which a module imports more of ganforge than its public parts."""
    if plugin.module.startswith("ganforge."):
        return "part of ganforge's core"
    for path in _source_files(plugin.module):
        for name, line in _imported(path):
            if name.startswith("ganforge.") and name.split(".")[1] not in _PUBLIC:
                raise PluginContractError(
                    f"{path.name}:{line} imports {name}, which may change at any time. Import "
                    f"from ganforge.api or ganforge.layers, or ask for what is missing there."
                )
    return None


def _source_files(module: str) -> Iterable[Path]:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        return []
    origin = Path(spec.origin)
    return sorted(origin.parent.rglob("*.py")) if origin.name == "__init__.py" else [origin]


def _imported(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module, node.lineno


def check_documented(architecture: str, plugin: Plugin) -> str | None:
    """Refuse an architecture without a docs page: docs/architectures, or a third party's README."""
    if plugin.distribution == "ganforge":
        root = Path(__file__).parents[2]
        if not (root / "pyproject.toml").is_file():
            return "the docs are not installed"
        page = root / "docs" / "architectures" / f"{architecture}.md"
        if not page.is_file():
            raise PluginContractError(f"docs/architectures/{architecture}.md is missing. Write it.")
        return None
    readme = importlib.metadata.distribution(plugin.distribution).read_text("METADATA") or ""
    if architecture not in readme:
        raise PluginContractError(
            f"The README of {plugin.distribution} does not mention '{architecture}'. Describe it "
            f"there, and name the README in pyproject.toml."
        )
    return None
