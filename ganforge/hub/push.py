"""Uploads an export folder to the Hub."""

from dataclasses import dataclass
from pathlib import Path

import huggingface_hub  # which imports its parts when they are used
from huggingface_hub.errors import RepositoryNotFoundError

from ganforge.errors import PublishError
from ganforge.hub.errors import explain_hub_errors
from ganforge.hub.format import (
    ALL_FILES,
    CARD_FILE,
    check_weights,
    read_info,
    require_file,
)


@dataclass(frozen=True)
class PushResult:
    """Where a model was published."""

    url: str
    """Page of the repository at this revision."""
    commit_sha: str


def push_folder(
    folder: str | Path,
    repo_id: str,
    *,
    revision: str | None = None,
    private: bool = False,
    token: str | None = None,
    message: str | None = None,
) -> PushResult:
    """Upload an export folder, as one commit; a new repository is created.

    Args:
        folder: an export folder. It is checked before anything is uploaded.
        repo_id: owner/name.
        revision: branch; a new one is created from main. Default: main.
        private: create a private repository, and refuse a public one.
        token: Hub token. Default: the one of `hf auth login` or HF_TOKEN.
        message: title of the commit.

    Raises:
        PublishError: the folder is damaged or the Hub refuses; says what to do.
    """
    folder = Path(folder)
    check_repo_id(repo_id)
    info = read_info(folder, str(folder))
    check_weights(folder, info, str(folder))
    require_file(folder, CARD_FILE, str(folder))
    api = huggingface_hub.HfApi(
        token=token, library_name="ganforge", library_version=info.ganforge_version
    )
    with explain_hub_errors("push to", repo_id, revision):
        _prepare_repo(api, repo_id, revision, private)
        commit = api.upload_folder(
            repo_id=repo_id,
            folder_path=folder,
            revision=revision,
            commit_message=message or f"Upload {info.architecture} at {info.nimg // 1000} kimg",
            allow_patterns=ALL_FILES,
            # Files of an earlier export must not stay.
            delete_patterns=[name for name in ALL_FILES if not (folder / name).is_file()] or None,
        )
    url = f"{api.endpoint}/{repo_id}" + (f"/tree/{revision}" if revision else "")
    return PushResult(url, commit.oid)


def check_repo_id(repo_id: str) -> None:
    """Refuse a name without an owner, or one that the Hub does not allow."""
    if repo_id.count("/") != 1:
        raise PublishError(
            f"'{repo_id}' does not name a repository and its owner. Use owner/name, e.g. "
            f"org/{repo_id.strip('/').rpartition('/')[2] or 'name'}."
        )
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    with explain_hub_errors("push to", repo_id):
        validate_repo_id(repo_id)


def _prepare_repo(
    api: "huggingface_hub.HfApi", repo_id: str, revision: str | None, private: bool
) -> None:
    try:
        is_public = api.repo_info(repo_id).private is False
    except RepositoryNotFoundError:
        api.create_repo(repo_id, private=private, exist_ok=True)
        is_public = False
    if private and is_public:
        raise PublishError(
            f"'{repo_id}' exists and is public, but private=True was given; nothing was sent. "
            f"Make it private in its settings, or choose another name."
        )
    if revision is not None and revision != "main":
        api.create_branch(repo_id, branch=revision, exist_ok=True)
