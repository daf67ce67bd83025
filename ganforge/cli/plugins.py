"""`ganforge plugins list | new | check`."""

import json
from pathlib import Path

import click

from ganforge.cli import _shared


@click.group(epilog="Example: ganforge plugins list")
def plugins() -> None:
    """List, create and check plugins."""


@plugins.command("list", epilog="Example: ganforge plugins list --json")
@_shared.as_json
def list_plugins(as_json: bool) -> None:
    """List all components with their kind, name and package."""
    from ganforge.registry.plugins import get_registry

    registry = get_registry()
    rows = []
    for component in registry.components():
        plugin = registry.plugin_of(component)
        summary = (component.__doc__ or "").strip().splitlines() or [""]
        origin = f"{plugin.distribution} {plugin.version}"
        rows.append((component.kind, component.name, origin, summary[0]))
    if as_json:
        keys = ("kind", "name", "distribution", "summary")
        click.echo(json.dumps([dict(zip(keys, row, strict=True)) for row in rows], indent=2))
        return
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        click.echo("  ".join([*cells, row[3]]))


@plugins.command(epilog="Example: ganforge plugins new tiny-gan --out .")
@click.argument("name")
@click.option(
    "--out", default=".", show_default=True, type=click.Path(path_type=Path),
    help="Folder in which to create the package.",
)  # fmt: skip
def new(name: str, out: Path) -> None:
    """Create a plugin package NAME that installs, trains and passes its tests."""
    from ganforge.plugin_tools.scaffold import new_plugin
    from ganforge.registry.plugins import get_registry

    folder = new_plugin(name, out, get_registry())
    click.echo(f"Wrote {folder}. Next: pip install -e '{folder}[test]' && pytest {folder}")


@plugins.command(epilog="Example: ganforge plugins check dcgan")
@click.argument("name")
@_shared.as_json
@click.pass_context
def check(ctx: click.Context, name: str, as_json: bool) -> None:
    """Check an installed plugin, package or component NAME against the plugin contract.

    Trains architectures for a few steps on random data, with one and two processes. Exit code 1
    if a check fails.
    """
    from ganforge.plugin_tools.report import check_plugin

    outcomes = []
    for outcome in check_plugin(name):
        outcomes.append(outcome)
        if not as_json:
            note = f": {outcome.message}" if outcome.message else ""
            click.echo(f"{outcome.status:7} {outcome.subject}: {outcome.check}{note}")
    if as_json:
        click.echo(json.dumps([outcome.to_dict() for outcome in outcomes], indent=2))
    if any(outcome.status == "failed" for outcome in outcomes):
        ctx.exit(1)
