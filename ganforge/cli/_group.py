"""The root command group: built-in commands, imported when used, and commands of plugins."""

import functools
import importlib
import importlib.metadata
from collections.abc import Mapping
from typing import Any

import click

from ganforge.errors import GanforgeError, PluginConflict, RunStopped, explain, suggest
from ganforge.training.cpu.threads import limit_spinning
from ganforge.training.signals import ended_by_signals


class RootGroup(click.Group):
    """The `ganforge` group: a static table of commands, and the commands of plugins."""

    def __init__(self, *args: Any, lazy: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lazy = lazy

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an error that a user can fix is one message, with exit code 2."""
        limit_spinning()  # before a command imports torch
        try:
            with ended_by_signals():
                return super().invoke(ctx)
        except RunStopped as stop:
            click.echo(str(stop), err=True)
            ctx.exit(stop.exit_code)
        except (GanforgeError, OSError) as err:
            message = explain(err)
            if message is None:
                raise
            click.echo(f"Error: {message}", err=True)
            ctx.exit(2)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Built-in names in the order of a workflow, then third-party names."""
        try:
            return [*self._lazy, *sorted(self._third_party())]
        except GanforgeError as err:
            # Help must work when a plugin does not.
            click.echo(f"Warning: {err}", err=True)
            return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command."""
        if cmd_name in self._lazy:
            module, _, attribute = self._lazy[cmd_name].partition(":")
            found: click.Command = getattr(importlib.import_module(module), attribute)
            return found
        return self._third_party().get(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; an unknown name is answered with near names."""
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            ctx.fail(f"No such command {name!r}. {suggest(name, self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)

    def _third_party(self) -> dict[str, click.Command]:
        commands = third_party_commands()
        for name, (_, plugin) in commands.items():
            if name in self._lazy:
                raise PluginConflict(
                    f"Plugin '{plugin}' adds the command '{name}', which ganforge has itself. "
                    f"Rename it in the plugin's ganforge_commands, or uninstall the plugin."
                )
        return {name: command for name, (command, _) in commands.items()}


@functools.cache
def third_party_commands() -> dict[str, tuple[click.Command, str]]:
    """Commands of third-party plugins, with the name of the plugin.

    Raises:
        PluginError: a plugin cannot be imported.
        PluginConflict: two plugins add the same command.
    """
    entries = [
        entry
        for entry in importlib.metadata.entry_points(group="ganforge")
        if entry.dist is None or entry.dist.name != "ganforge"
    ]
    if not entries:
        return {}
    # The registry and plugins take time to import: do so only if there is a third-party plugin.
    from ganforge.registry.plugins import empty_registry, load_plugins

    registry = empty_registry()
    load_plugins(registry, entries)
    commands: dict[str, tuple[click.Command, str]] = {}
    for plugin, module in registry.manager.list_name_plugin():
        hook = getattr(module, "ganforge_commands", None)
        for command in hook() if hook else ():
            name = str(command.name)
            if name in commands:
                raise PluginConflict(
                    f"Plugins '{commands[name][1]}' and '{plugin}' both add the command "
                    f"'{name}'. Uninstall one of them."
                )
            commands[name] = (command, plugin)
    return commands
