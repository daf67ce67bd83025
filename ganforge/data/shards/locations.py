"""Where shards lie: local folders, or anything webdataset can open, kept in a bounded cache.

A location is a folder, a URL (http, https, hf, gs, ...), or `pipe:COMMAND` with `{}` for the file
name, which runs that command: a pipeline file is as trusted as a script. Remote shards are fetched
whole, checked against their hash and then read like local ones.
"""

import contextlib
import hashlib
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import webdataset

from ganforge.errors import ShardError

try:
    import fcntl
except ImportError:  # Windows has no flock; two processes may then fetch one shard twice.
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)
_CHUNK = 2**20
_BLOCK = 512
_ATTEMPTS = 3


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
    """Open a path or URL for reading through webdataset.

    Raises:
        OSError: it cannot be opened; for pipes this may come as late as `close`.
    """
    if not is_remote(url):
        return open(url, "rb")
    return cast(BinaryIO, webdataset.gopen(url, "rb"))


def read_bytes(url: str) -> bytes:
    """The whole content of a path or URL.

    Raises:
        OSError: it cannot be read.
    """
    with contextlib.closing(open_url(url)) as stream:
        return stream.read()


def default_cache_dir() -> Path:
    """Where remote shards are cached when the file names no folder."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "ganforge" / "shards"


class ShardCache:
    """Local copies of remote shards by content hash, the least recently used dropped first."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder
        self.max_bytes = max_bytes

    def path(self, url: str, sha256: str, num_bytes: int) -> Path:
        """The local copy of a shard, fetched when it is not there.

        Raises:
            ShardError: it cannot be fetched, or its content is not the index's.
        """
        path = self.folder / f"{sha256}.tar"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._locked(path):
                if not path.exists():
                    self._fetch(url, sha256, num_bytes, path)
                    self._evict(keep=path)
            os.utime(path)
        except OSError as err:
            raise ShardError(
                f"Shard {url} cannot be kept in the cache {self.folder} "
                f"({type(err).__name__}: {err}). Set data.cache_dir to a writable folder with room."
            ) from err
        return path

    @contextlib.contextmanager
    def _locked(self, path: Path) -> Iterator[None]:
        if fcntl is None:
            yield
            return
        with path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _fetch(self, url: str, sha256: str, num_bytes: int, path: Path) -> None:
        fault = ""
        for _ in range(_ATTEMPTS):
            handle, temporary = tempfile.mkstemp(dir=self.folder, suffix=".part")
            try:
                with os.fdopen(handle, "wb") as target:
                    fault = copy_checked(url, target, sha256, num_bytes)
                if not fault:
                    os.replace(temporary, path)
                    return
            finally:
                Path(temporary).unlink(missing_ok=True)
            logger.warning("Shard %s: %s", url, fault)
        raise ShardError(
            f"Shard {url}: {fault} (tried {_ATTEMPTS} times). Check the connection and your right "
            f"to read it; if the shard was replaced, upload it again with its index.json."
        )

    def _evict(self, keep: Path) -> None:
        kept = sorted(self.folder.glob("*.tar"), key=lambda p: p.stat().st_mtime, reverse=True)
        total = 0
        for path in kept:
            total += path.stat().st_size
            # Readers that have it open keep their data: POSIX removes it when the last one closes.
            if total > self.max_bytes and path != keep:
                for name in (path, path.with_suffix(".lock"), path.with_suffix(".members.npy")):
                    name.unlink(missing_ok=True)


def copy_checked(url: str, target: BinaryIO, sha256: str, num_bytes: int) -> str:
    """Copy a URL to a file; return what is wrong with it, or nothing."""
    digest, size = hashlib.sha256(), 0
    try:
        with contextlib.closing(open_url(url)) as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
                target.write(chunk)
    except OSError as err:
        return f"cannot be read: {type(err).__name__}: {err}"
    if size != num_bytes:
        return f"has {size} bytes, the index says {num_bytes}"
    found = digest.hexdigest()
    return "" if found == sha256 else f"has sha256 {found[:12]}..., the index says {sha256[:12]}..."


def fault_at_start(url: str) -> str:
    """Read the beginning of a URL; return what is wrong with it, or nothing."""
    try:
        stream = open_url(url)
        start = stream.read(_BLOCK)
        # A pipe whose command failed says so here; one that was only left early may complain too.
        with contextlib.suppress(OSError) if start else contextlib.nullcontext():
            stream.close()
    except OSError as err:
        return f"cannot be read: {type(err).__name__}: {err}"
    return "" if start else "is empty"
