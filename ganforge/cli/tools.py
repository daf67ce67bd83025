"""`ganforge schema` and `ganforge doctor`."""

import json
from pathlib import Path

import click

from ganforge.cli import _shared


@click.command(epilog="Example: ganforge schema --out pipeline.schema.json")
@click.option(
    "--out", type=click.Path(path_type=Path), help="File to write to. Default: standard output."
)
def schema(out: Path | None) -> None:
    """Print the JSON schema of pipeline files, with the options of all installed plugins.

    An editor with the YAML language server completes a pipeline file that begins with
    `# yaml-language-server: $schema=pipeline.schema.json`.
    """
    from ganforge.io.atomic import write_text
    from ganforge.registry.plugins import get_registry
    from ganforge.registry.schema import json_schema

    text = json.dumps(json_schema(get_registry()), indent=2)
    if out is None:
        click.echo(text)
    else:
        write_text(out, text + "\n")


@click.command(epilog="Example: ganforge doctor --json")
@_shared.as_json
@click.option("--run-dir", default="runs", show_default=True, help="Folder of the runs.")
@click.pass_context
def doctor(ctx: click.Context, as_json: bool, run_dir: str) -> None:
    """Check this machine: versions, device, compiler, plugins, disk, caches, launch settings.

    Exit code 1 if something would stop a run.
    """
    from dataclasses import asdict

    from ganforge.cli._doctor import examine

    findings = examine(Path(run_dir))
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        width = max(len(finding.topic) for finding in findings)
        for finding in findings:
            click.echo(f"{finding.status:5} {finding.topic:{width}}  {finding.text}")
    if any(finding.status == "FAIL" for finding in findings):
        ctx.exit(1)
