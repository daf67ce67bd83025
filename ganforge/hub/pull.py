"""Finds the files of a published model: in a folder, or on the Hub through its cache."""

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import huggingface_hub  # which imports its parts when they are used
from huggingface_hub import constants

from ganforge import __version__
from ganforge.errors import PublishError, suggest
from ganforge.hub.errors import explain_hub_errors
from ganforge.hub.format import (
    ALL_FILES,
    CONFIG_FILE,
    ModelInfo,
    check_hash,
    read_info,
    weights_files,
)


@dataclass(frozen=True)
class Location:
    """A published model, and how to get it: the arguments of `PretrainedGan.from_pretrained`."""

    path_or_repo: str
    """A folder, of which ~ may be the first part; owner/name; or the address of its page."""
    revision: str | None = None
    token: str | None = None
    cache_dir: str | Path | None = None
    local_files_only: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "path_or_repo", _normal(self.path_or_repo))

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder, which takes precedence over a repository of the same name."""
        return Path(self.path_or_repo).is_dir()


def _normal(source: str) -> str:
    """The folder or the name that people mean: as they copy it from a page or a shell."""
    if source.startswith("~"):
        return os.path.expanduser(source)  # noqa: PTH111  # which does not fail without a home
    page = urlsplit(source)
    if page.scheme in ("http", "https") and page.netloc == urlsplit(constants.ENDPOINT).netloc:
        return "/".join(page.path.strip("/").split("/")[:2])
    # owner/name/, as tab completion and addresses leave it
    return source if Path(source).is_dir() else source.removesuffix("/")


def fetch_info(location: Location) -> tuple[Path, ModelInfo]:
    """Download only `config.json`, so that a model that cannot be used here costs nothing.

    Returns its folder and its content.

    Raises:
        PublishError: there is no such model, or it cannot be reached or read.
    """
    source = location.path_or_repo
    if not source.strip():
        raise PublishError(
            f"The model has an empty name ({source!r}). Give an export's folder, e.g. "
            f"runs/quickstart/export, or owner/name on the Hub."
        )
    if location.is_folder:
        folder = _folder_on_disk(location)
    elif Path(source).is_file():
        raise PublishError(
            f"{source} is a file. A model is the folder of an export, e.g. runs/quickstart/export."
        )
    elif source.startswith((".", "/", "~")):
        raise PublishError(f"There is no folder {source}. Check the path, or give owner/name.")
    elif runs := _runs_beside(Path(source)):
        raise PublishError(
            f"There is no {source}: {suggest(Path(source).name, runs)} (looked in {Path.cwd()})"
        )
    else:
        folder = _download(location, [CONFIG_FILE], location.revision)
    return folder, read_info(folder, source)


def fetch_weights(
    location: Location, folder: Path, info: ModelInfo, *, discriminator: bool = False
) -> list[Path]:
    """The paths of the model's weights, downloaded if necessary, and checked by hash.

    The first holds the networks that generate. The second, with `discriminator` and where the
    model has it, holds all other networks.

    `folder` and `info` are from `fetch_info`; the name of the folder is the commit on the Hub.

    Raises:
        PublishError: the weights cannot be downloaded, or are not those that were exported.
    """
    files = weights_files(info)[: 2 if discriminator else 1]
    if not location.is_folder:
        # All files must come from the same commit.
        folder = _download(location, [name for name, _ in files], folder.name)
    return [check_hash(folder, *file, location.path_or_repo) for file in files]


def pull(
    path_or_repo: str | Path, *, revision: str | None = None, local_files_only: bool = False
) -> Path:
    """Download all files of a model and check them, without loading it; returns their folder.

    Raises:
        PublishError: there is no such model, or it cannot be reached, read or trusted.
    """
    location = Location(str(path_or_repo), revision, local_files_only=local_files_only)
    folder, info = fetch_info(location)
    fetch_weights(location, folder, info, discriminator=True)
    return folder if location.is_folder else _download(location, ALL_FILES, folder.name)


def _runs_beside(path: Path) -> list[str]:
    """The runs and exports in the parent folder of a path, which is then no name on the Hub."""
    folder = path.parent
    if folder == Path() or not folder.is_dir():
        return []
    signs = (CONFIG_FILE, "config.yaml", "log.jsonl", "checkpoints", "export")
    return [
        each.name
        for each in folder.iterdir()
        if each.is_dir() and any((each / sign).exists() for sign in signs)
    ]


def _download(location: Location, names: list[str], revision: str | None) -> Path:
    repo_id = location.path_or_repo
    api = huggingface_hub.HfApi(
        token=location.token, library_name="ganforge", library_version=__version__
    )
    with explain_hub_errors("download", repo_id, location.revision, "no folder has this name"):
        snapshot = api.snapshot_download(
            repo_id,
            revision=revision,
            cache_dir=location.cache_dir,
            local_files_only=location.local_files_only,
            allow_patterns=names,
        )
    return Path(snapshot)


def _folder_on_disk(location: Location) -> Path:
    """The folder itself, or its `export` when it is a run's folder."""
    if location.revision is not None:
        raise PublishError(
            f"revision='{location.revision}' was given, but {location.path_or_repo} is a "
            f"folder on disk, which has no revisions. Leave it out, or give owner/name."
        )
    folder = Path(location.path_or_repo)
    inner = folder / "export"
    is_run = not (folder / CONFIG_FILE).exists() and (inner / CONFIG_FILE).is_file()
    return inner if is_run else folder
