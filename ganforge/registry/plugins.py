"""The registry: loads plugins with pluggy and finds their components by kind and name."""

import functools
import importlib.metadata
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import FunctionType, ModuleType
from typing import Any, TypeVar

import pluggy
import pydantic

from ganforge.config.choices import KeyPath
from ganforge.config.messages import Message, messages_of, raise_messages
from ganforge.config.models import StrictModel
from ganforge.errors import (
    ConfigError,
    PluginConflict,
    PluginContractError,
    PluginError,
    PluginNotFound,
    suggest,
)
from ganforge.interfaces.component import Component
from ganforge.registry import hookspecs
from ganforge.registry.kinds import KINDS, Kind

GROUP = "ganforge"
Class = type[Component[Any]]
ComponentT = TypeVar("ComponentT", bound=Component[Any])


@dataclass(frozen=True)
class Plugin:
    """An installed plugin: its entry point and its distribution."""

    name: str
    module: str
    distribution: str
    version: str

    def __str__(self) -> str:
        return f"'{self.name}' ({self.distribution} {self.version})"


@dataclass
class Registry:
    """All loaded plugins, and their components.

    The hooks for a kind are called when a component of that kind is first looked up: a command
    that needs only data sources imports no network, and no torch.

    Looking up components raises:
        PluginConflict: two plugins provide a component of this kind with one name.
        PluginContractError: a hook does not return components of its kind, or a name is not in
            snake_case.
        PluginError: a hook raises.
    """

    manager: pluggy.PluginManager
    plugins: dict[str, Plugin] = field(default_factory=dict)
    _found: dict[str, dict[str, tuple[Class, Plugin]]] = field(default_factory=dict)

    def register(self, module: ModuleType, plugin: Plugin) -> None:
        """Add one plugin's hook implementations.

        Raises:
            PluginContractError: a hook is unknown or not marked, or has an unknown argument.
        """
        _check_marks(module, plugin)
        try:
            self.manager.register(module, plugin.name)
            self.manager.check_pending()
        except pluggy.PluginValidationError as err:
            raise PluginContractError(
                f"Plugin {plugin} does not fit ganforge's hooks: {err} See docs/hooks.md for names "
                f"and arguments."
            ) from err
        self.plugins[plugin.name] = plugin
        self._found.clear()

    def _of_kind(self, words: str) -> dict[str, tuple[Class, Plugin]]:
        """The components of a kind with their plugins, by name."""
        if words not in self._found:
            found: dict[str, tuple[Class, Plugin]] = {}
            for plugin in self.plugins.values():
                module = self.manager.get_plugin(plugin.name)
                for component in _call(module, KINDS[words].hook, plugin):
                    _check_component(component, KINDS[words], plugin)
                    taken, other = found.setdefault(component.name, (component, plugin))
                    if taken is not component:
                        raise PluginConflict(
                            f"Two plugins provide the {words} '{component.name}': '{other.name}' "
                            f"({other.distribution}) and '{plugin.name}' "
                            f"({plugin.distribution}). Uninstall one of them."
                        )
            self._found[words] = found
        return self._found[words]

    def names(self, kind: Class) -> list[str]:
        """Sorted names of one kind."""
        return sorted(self._of_kind(kind.kind))

    def components(self) -> list[Class]:
        """All components of all plugins, sorted by kind and name."""
        found = [component for words in KINDS for component, _ in self._of_kind(words).values()]
        return sorted(found, key=lambda c: (c.kind, c.name))

    def find(self, kind: type[ComponentT], name: str) -> type[ComponentT]:
        """The class of a component.

        Raises:
            PluginNotFound: no plugin provides it; the message lists similar names.
        """
        components = self._of_kind(kind.kind)
        if name in components:
            return components[name][0]  # type: ignore[return-value]  # _check_component did
        if snake_case(name) in components:
            raise PluginNotFound(f"Unknown {kind.kind} '{name}'. Write '{snake_case(name)}'.")
        raise PluginNotFound(
            f"Unknown {kind.kind} '{name}'. {suggest(name, self.names(kind))} "
            f"If a third-party plugin provides it, pip install that plugin."
        )

    def options_model(self, kind: str, name: str) -> type[StrictModel] | None:
        """The options of a component; None when no plugin provides it. `kind` is in words."""
        found = self._of_kind(kind).get(name)
        return None if found is None else found[0].Config

    def plugin_of(self, component: Class) -> Plugin:
        """The plugin that provides a component."""
        found = self._of_kind(component.kind).get(component.name)
        if found is None or found[0] is not component:
            raise PluginNotFound(f"{component.__name__} is not registered by any plugin.")
        return found[1]

    def configure(
        self, kind: type[ComponentT], name: str, options: Mapping[str, Any], where: str
    ) -> tuple[type[ComponentT], StrictModel]:
        """A component's class and its validated options.

        `where` is their path in the pipeline file, for messages.

        Raises:
            PluginNotFound: no plugin provides it.
            ConfigError: the options are not valid; lists similar names for unknown ones.
        """
        component = self.find(kind, name)
        try:
            return component, component.Config.model_validate(options)
        except pydantic.ValidationError as err:
            raise_messages(option_messages(err, component, options, (where,)), ConfigError)

    def build(
        self, kind: type[ComponentT], name: str, options: Mapping[str, Any], where: str
    ) -> ComponentT:
        """Validate options and build a component; arguments and errors as for `configure`."""
        component, config = self.configure(kind, name, options, where)
        return component(config)


def snake_case(name: str) -> str:
    """The spelling of names in pipeline files: "inception_v3"."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def option_messages(
    err: pydantic.ValidationError, component: Class, options: Mapping[str, Any], path: KeyPath
) -> list[Message]:
    """What is wrong with a component's options; each message names the component."""
    owner = f"({component.kind} '{component.name}')"
    return [
        Message(message.path, f"{message.text} {owner}")
        for message in messages_of(err, component.Config, options, path)
    ]


def _check_marks(module: ModuleType, plugin: Plugin) -> None:
    """Refuse functions that look like hooks but are unmarked or unknown."""
    hooks = [name for name in dir(hookspecs) if name.startswith("ganforge_")]
    for name, value in vars(module).items():
        if not (name.startswith("ganforge_") and isinstance(value, FunctionType)):
            continue
        if name not in hooks:
            raise PluginContractError(
                f"Plugin {plugin} implements the unknown hook '{name}'. {suggest(name, hooks)}"
            )
        if not hasattr(value, "ganforge_impl"):
            raise PluginContractError(
                f"Plugin '{plugin.name}' defines {name} without marking it, so it would never be "
                f"called. Write @hookimpl above it (from ganforge.api import hookimpl)."
            )


def _check_component(component: Any, kind: Kind, plugin: Plugin) -> None:
    """Refuse what is no component of this kind, or has no usable name."""
    if not (isinstance(component, type) and issubclass(component, kind.base)):
        raise PluginContractError(
            f"Plugin '{plugin.name}' returns {component!r} from {kind.hook}; "
            f"return subclasses of {kind.base.__name__}."
        )
    name = getattr(component, "name", None)
    if not (isinstance(name, str) and name):
        raise PluginContractError(
            f"{component.__name__} of plugin '{plugin.name}' has no `name`. Give it the name "
            f"that pipeline files use for it."
        )
    if name != snake_case(name):
        raise PluginContractError(
            f"Plugin '{plugin.name}' provides the {kind.words} '{name}'. Names are in "
            f'snake_case: write name = "{snake_case(name)}" in {component.__name__}.'
        )


def _call(module: Any, hook: str, plugin: Plugin) -> Sequence[Any]:
    """What a plugin's hook returns; nothing if it does not implement the hook."""
    implementation = getattr(module, hook, None)
    if implementation is None:
        return ()
    try:
        found = implementation()
    except (Exception, SystemExit) as err:  # a plugin may fail in any way
        raise PluginError(
            f"{hook} of plugin {plugin} raises {type(err).__name__}: {err}. Fix or uninstall "
            f"{plugin.distribution}."
        ) from err
    if not isinstance(found, list | tuple):
        raise PluginContractError(
            f"{hook} of plugin '{plugin.name}' returns {found!r}; return a list of classes."
        )
    return found


def load_plugins(registry: Registry, entry_points: Any = None) -> None:
    """Import and register the plugins of these entry points; by default of all installed ones.

    Raises:
        PluginConflict: two distributions use one entry-point name.
        PluginError: a plugin cannot be imported; names the plugin and its distribution.
    """
    if entry_points is None:
        entry_points = importlib.metadata.entry_points(group=GROUP)
    seen: dict[str, Plugin] = {}
    for entry in sorted(entry_points, key=lambda e: e.name):
        origin = (entry.dist.name, entry.dist.version) if entry.dist else ("?", "?")
        plugin = Plugin(entry.name, entry.value, *origin)
        earlier = seen.get(entry.name)
        if earlier == plugin:
            continue  # one distribution found twice on the path, as in an editable install
        if earlier is not None:
            raise PluginConflict(
                f"Two installed distributions register a plugin named '{entry.name}': "
                f"{earlier.distribution} ({earlier.module}) and {plugin.distribution} "
                f"({plugin.module}). Uninstall one of them."
            )
        seen[entry.name] = plugin
        try:
            module = entry.load()
        except (Exception, SystemExit) as err:  # a plugin may fail in any way
            raise PluginError(
                f"Plugin '{plugin.name}' ({plugin.distribution} {plugin.version}, module "
                f"{plugin.module}) cannot be imported: {type(err).__name__}: {err}. "
                f"Fix or uninstall {plugin.distribution}."
            ) from err
        registry.register(module, plugin)


def empty_registry() -> Registry:
    """A registry with all hooks and no plugins."""
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    return Registry(manager)


@functools.cache
def get_registry() -> Registry:
    """The registry of this process, with all installed plugins."""
    registry = empty_registry()
    load_plugins(registry)
    return registry
