"""Where a data set lies: a local folder, an HTTP server, or anything that webdataset can open.

A location is a folder, a URL (http, https, hf, gs, ...), or `pipe:COMMAND` with `{}` for the file
name, which runs that command: trust a pipeline file as you trust a script.
"""

import contextlib
from collections.abc import Callable
from typing import BinaryIO, TypeVar, cast

from ganforge.errors import ShardError
from ganforge.io.network import network_faults, open_http, retried

_START = 512
"""Bytes of a remote file that tell whether it can be read."""
T = TypeVar("T")


def is_remote(location: str) -> bool:
    """Whether a location is not on a mounted file system."""
    return location.startswith("pipe:") or ("://" in location and not location.startswith("file:"))


def join_location(location: str, name: str) -> str:
    """The URL or path of a file at a location."""
    if location.startswith("pipe:"):
        return location.replace("{}", name)
    if location.startswith("file:"):
        location = location.removeprefix("file:").removeprefix("//")
    return f"{location.rstrip('/')}/{name}"


def open_url(url: str) -> BinaryIO:
    """Open a path or URL for reading.

    Raises:
        OSError: it cannot be opened; for pipes this may come as late as `close`.
    """
    if not is_remote(url):
        return open(url, "rb")
    if _is_http(url):  # webdataset's curl waits for ever for a server that falls silent
        return open_http(url)
    import webdataset  # which imports torch

    try:
        return cast(BinaryIO, webdataset.gopen(url, "rb"))
    except (OSError, ValueError, RuntimeError, ImportError) as err:
        # The set-up of an HTTP client raises all kinds.
        fault = None if url.startswith("pipe:") else next(network_faults(), None)
        raise OSError(fault or f"{type(err).__name__}: {err}") from err


def read_bytes(url: str) -> bytes:
    """The whole content of a path or URL. HTTP servers that are unavailable are asked again.

    Raises:
        OSError: it cannot be read.
    """
    return _asked_again(url, _read_once)


def open_patiently(url: str) -> BinaryIO:
    """As `open_url`. HTTP servers that are unavailable are asked again.

    Raises:
        OSError: it cannot be opened; for pipes this may come as late as `close`.
    """
    return _asked_again(url, open_url)


def _asked_again(url: str, action: Callable[[str], T]) -> T:
    if not _is_http(url):
        return action(url)
    try:
        return retried(lambda: _unless_refused(url, action), _Unavailable)
    except _Unavailable as err:
        raise OSError(str(err)) from err


class _Unavailable(Exception):
    """A fault of a server that may pass."""


def _unless_refused(url: str, action: Callable[[str], T]) -> T:
    try:
        return action(url)
    except (FileNotFoundError, PermissionError):
        raise
    except OSError as err:
        raise _Unavailable(f"{url} cannot be read: {err}") from err


def _read_once(url: str) -> bytes:
    with contextlib.closing(open_url(url)) as stream:
        return stream.read()


def _is_http(url: str) -> bool:
    return url.startswith(("http://", "https://"))


def check_start(url: str) -> None:
    """Read the first bytes of a shard.

    Raises:
        ShardError: it cannot be read, or is empty.
    """
    try:
        stream = open_url(url)
        start = stream.read(_START)
        # A failed pipe command raises here; one that was only interrupted may raise too.
        with contextlib.suppress(OSError) if start else contextlib.nullcontext():
            stream.close()
    except OSError as err:
        raise ShardError(f"Shard {url}: cannot be read: {type(err).__name__}: {err}") from err
    if not start:
        raise ShardError(f"Shard {url}: is empty")
