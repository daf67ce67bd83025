"""Turns the errors of `huggingface_hub` into a `PublishError` that says what to do."""

import contextlib
from collections.abc import Iterator

from huggingface_hub import errors, get_token

from ganforge.errors import PublishError
from ganforge.io.network import network_faults

_TRANSPORT_ERROR: type[BaseException] = errors.HfHubHTTPError.__mro__[1]
"""Base of the HTTP client's own errors, whichever client this huggingface_hub uses."""

_REFUSED = (400, 413, 422)
"""What was sent is at fault: the metadata of the model card, a file that is too large."""


@contextlib.contextmanager
def explain_hub_errors(
    action: str, repo_id: str, revision: str | None = None, note: str = ""
) -> Iterator[None]:
    """Raise a `PublishError` instead of an error of the Hub client.

    `action` is what is tried, such as "download" or "push to"; `note` is a remark on the name.
    """
    where = f"Cannot {action} '{repo_id}'" + (f" at revision '{revision}'" if revision else "")
    where += f" ({note})" if note else ""
    try:
        yield
    except errors.HFValidationError as err:
        fault = f"this is neither a folder nor a repository name such as 'org/name' ({err})."
        raise PublishError(f"{where}: {fault}") from err
    except errors.LocalTokenNotFoundError as err:
        advice = "no token. Run `hf auth login`, set HF_TOKEN, or pass a token."
        raise PublishError(f"{where}: {advice}") from err
    except errors.LocalEntryNotFoundError as err:
        raise PublishError(f"{where}: {_not_local(err)}") from err
    except errors.HfHubHTTPError as err:
        raise PublishError(f"{where}: {_refusal(err, revision)}") from err
    except (errors.OfflineModeIsEnabled, _TRANSPORT_ERROR, ConnectionError) as err:
        raise PublishError(f"{where}: {_unreachable(err)}") from err
    except (OSError, ValueError, RuntimeError, ImportError) as err:
        # The set-up of the HTTP client raises them: proxies, certificates, encodings, packages.
        known = next(network_faults(), None)
        if known is None and isinstance(err, OSError):
            raise  # of the disk
        raise PublishError(f"{where}: {known or _unreachable(err)}") from err


def _not_local(err: errors.LocalEntryNotFoundError) -> str:
    if err.__cause__ is not None:
        return _unreachable(err.__cause__) + " It is not in the local cache either."
    return (
        "it is not in the local cache, or not completely, and downloading was switched off. "
        "Leave out --offline (in Python: local_files_only), or check cache_dir and HF_HUB_OFFLINE."
    )


def _unreachable(err: BaseException) -> str:
    return (
        f"the Hub cannot be reached ({type(err).__name__}: {err}). Check the network, the proxy "
        f"and HF_ENDPOINT, then try again."
    )


def _refusal(err: errors.HfHubHTTPError, revision: str | None) -> str:
    status = err.response.status_code
    if isinstance(err, errors.RevisionNotFoundError):
        name = revision or "main"
        return f"the repository has no revision '{name}'. Name a branch, tag or commit."
    if isinstance(err, errors.GatedRepoError):
        return "access must be granted by its owner. Ask on its page, then use your token."
    if isinstance(err, errors.RepositoryNotFoundError):
        return (
            "no such repository, or it is private and the token may not read it. Check the name; "
            "for a private one pass a token or run `hf auth login`."
        )
    if status == 401 and get_token() is None:
        return "no token was given. Run `hf auth login`, set HF_TOKEN, or pass a token."
    if status == 401:
        return "the token is not valid. Make a new one in the Hub's settings and `hf auth login`."
    if status == 403:
        return (
            "the token has no permission for this. Use a token with write access, of a member of "
            "the organization."
        )
    answer = f"the Hub answered {status} ({err.server_message or err})."
    if status in _REFUSED:
        return f"{answer} It will answer the same again: correct what it names."
    return f"{answer} Try again later."
