"""Opens shards wherever they lie; remote ones are fetched into a cache of bounded size."""

import contextlib
import hashlib
import logging
import os
import time
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock

from ganforge.data.shards.index import ShardInfo
from ganforge.data.shards.locations import is_remote, join_location, open_url
from ganforge.data.shards.member_table import sidecar_path
from ganforge.errors import ShardError
from ganforge.io.atomic import atomic_file
from ganforge.io.cache import default_cache_dir

logger = logging.getLogger(__name__)
_CHUNK = 2**20
_ATTEMPTS = 3
_ABANDONED_SEC = 3600
"""A partial file that nobody wrote to for so long was left by a killed process."""


class ShardCache:
    """Local copies of remote shards, named by content hash; the least recently used go first.

    Safe for several processes. A reader gets an open file, which stays readable when another
    process evicts the shard. A shard is fetched by one process while the others wait for it.
    """

    def __init__(self, folder: str | None, max_bytes: int) -> None:
        """Set up a cache.

        Args:
            folder: created when needed. Default: `shards` in the user's cache folder.
            max_bytes: limit on all shards together; a single larger shard is still kept.
        """
        self.folder = Path(folder) if folder else default_cache_dir() / "shards"
        self.max_bytes = max_bytes

    def path(self, info: ShardInfo) -> Path:
        """Where the copy of a shard lies."""
        return self.folder / f"{info.sha256}.tar"

    def open(self, url: str, info: ShardInfo) -> FileIO:
        """Open the copy of a shard for reading; fetch it first if it is not there.

        Raises:
            ShardError: it cannot be fetched, or its content is not what the index says.
        """
        path = self.path(info)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            # One lock for each first digit of the hash, so that 16 shards are fetched at once.
            with FileLock(self.folder / f"fetch-{info.sha256[0]}.lock"):
                return _open_kept(path) or self._fetch(url, info, path)
        except OSError as err:
            raise ShardError(
                f"Shard {url} cannot be kept in the cache {self.folder} "
                f"({type(err).__name__}: {err}). Set data.cache_dir to a writable folder with room."
            ) from err

    def _fetch(self, url: str, info: ShardInfo, path: Path) -> FileIO:
        fault = ""
        lock = FileLock(self.folder / "evict.lock")
        for _ in range(_ATTEMPTS):
            try:
                with atomic_file(path) as partial:
                    with partial.open("wb") as target:
                        copy_checked(url, target, info)
                    # Held until the file has its name, so that evictions see a folder at rest.
                    lock.acquire()
                    self._evict()
                    return partial.open("rb", buffering=0)
            except ShardError as err:
                fault = str(err)
                logger.warning("%s", fault)
            finally:
                lock.release()
        raise ShardError(
            f"{fault} (tried {_ATTEMPTS} times). Check the connection and your right to read it; "
            f"if the shard was replaced, upload it again with its index.json."
        )

    def _evict(self) -> None:
        """Delete the least recently used shards until the cache is within its limit.

        Partial files count, but those that are being written stay.
        """
        kept: list[tuple[float, int, Path]] = []
        for path in self.folder.glob("*.tar"):
            with contextlib.suppress(FileNotFoundError):  # a fetch of another process failed
                stat = path.stat()
                kept.append((stat.st_mtime, stat.st_size, path))
        excess = sum(size for _, size, _ in kept) - self.max_bytes
        newest_abandoned = time.time() - _ABANDONED_SEC
        for used, size, path in sorted(kept):
            is_written = path.name.startswith(".") and used > newest_abandoned
            if excess > 0 and not is_written:
                path.unlink(missing_ok=True)
                sidecar_path(path).unlink(missing_ok=True)
                excess -= size


def _open_kept(path: Path) -> FileIO | None:
    """Open a file and mark it as used now; None when there is none."""
    try:
        os.utime(path)
        return path.open("rb", buffering=0)
    except FileNotFoundError:
        return None


def open_shard(location: str, info: ShardInfo, cache: ShardCache) -> tuple[Path, FileIO]:
    """A shard's local path, and the shard open for reading.

    Raises:
        OSError: a local shard cannot be opened.
        ShardError: a remote shard cannot be fetched.
    """
    url = join_location(location, info.name)
    if is_remote(location):
        return cache.path(info), cache.open(url, info)
    return Path(url), open(url, "rb", buffering=0)


def copy_checked(url: str, target: BinaryIO, info: ShardInfo) -> None:
    """Copy a URL into an open file.

    Raises:
        ShardError: it cannot be read, or is not what the index says.
        OSError: `target` cannot be written.
    """
    digest, size = hashlib.sha256(), 0
    for chunk in _chunks(url):
        digest.update(chunk)
        size += len(chunk)
        target.write(chunk)
    if size != info.num_bytes:
        raise ShardError(f"Shard {url}: has {size} bytes, the index says {info.num_bytes}")
    if digest.hexdigest() != info.sha256:
        raise ShardError(
            f"Shard {url}: has sha256 {digest.hexdigest()[:12]}..., the index says "
            f"{info.sha256[:12]}..."
        )


def _chunks(url: str) -> Iterator[bytes]:
    try:
        with contextlib.closing(open_url(url)) as stream:
            while chunk := stream.read(_CHUNK):
                yield chunk
    except OSError as err:
        raise ShardError(f"Shard {url}: cannot be read: {type(err).__name__}: {err}") from err
