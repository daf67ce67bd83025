"""`ganforge status`."""

import json
from pathlib import Path

import click

from ganforge.cli import _shared


@click.command(epilog="Example: ganforge status runs/quickstart")
@click.argument("run", type=click.Path(path_type=Path))
@_shared.as_json
def status(run: Path, as_json: bool) -> None:
    """Show how far the run in the folder RUN is, its newest numbers, and its alarms.

    It only reads files, so it works on any machine that sees the folder.
    """
    from dataclasses import asdict

    from ganforge.report.run_folder import read_run
    from ganforge.report.status import describe, status_of

    found = status_of(read_run(run))
    click.echo(json.dumps(asdict(found), indent=2) if as_json else describe(found))
