"""`ganforge publish` and `pull`: upload to and download from the Hub."""

import json
import shutil
from pathlib import Path
from typing import Any

import click

from ganforge.cli import _shared


@click.command(epilog="Example: ganforge publish runs/quickstart/export org/name --private")
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("repo_id")
@click.option("--revision", help="Branch; a new one is created from main. Default: main.")
@click.option("--private", is_flag=True, help="Create a private repository.")
@click.option("--message", help="Commit message.")
@_shared.as_json
def publish(folder: Path, repo_id: str, as_json: bool, **options: Any) -> None:
    """Upload the export FOLDER to the Hub as REPO_ID (owner/name).

    FOLDER may also be the folder of a run. The token is that of `hf auth login` or HF_TOKEN.
    """
    from ganforge.hub.push import push_folder

    export = folder / "export" if (folder / "export").is_dir() else folder
    pushed = push_folder(export, repo_id, **options)
    if as_json:
        click.echo(json.dumps({"url": pushed.url, "commit": pushed.commit_sha}))
    else:
        click.echo(f"Published at {pushed.url} ({pushed.commit_sha[:12]}).")


@click.command(epilog="Example: ganforge pull org/name --out models/name")
@click.argument("repo_id")
@click.option("--out", type=click.Path(path_type=Path), help="Also copy the files to this folder.")
@click.option("--revision", help="Branch, tag or commit. Default: main.")
@_shared.offline
@_shared.as_json
def pull(
    repo_id: str, out: Path | None, revision: str | None, offline: bool, as_json: bool
) -> None:
    """Download the model REPO_ID and check it. Prints its folder."""
    from ganforge.hub.pull import pull as pull_model
    from ganforge.imaging.save import check_folder

    if out is not None:
        check_folder(out)
    folder = pull_model(repo_id, revision=revision, local_files_only=offline)
    if out is not None:
        shutil.copytree(folder, out, dirs_exist_ok=True, copy_function=_copy_whole)
        folder = out
    click.echo(json.dumps({"path": str(folder)}) if as_json else str(folder))


def _copy_whole(source: str, target: str) -> None:
    """Copy a file, which appears when it is whole."""
    from ganforge.io.atomic import atomic_file

    with atomic_file(Path(target)) as temporary:
        shutil.copyfile(source, temporary)
