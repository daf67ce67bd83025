"""Opens shards wherever they lie; remote ones are fetched into a cache of bounded size."""

import contextlib
import hashlib
import logging
import os
import shutil
import time
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock

from ganforge.config.models import DataConfig
from ganforge.data.shards.index import DatasetIndex, ShardInfo
from ganforge.data.shards.locations import is_remote, join_location, open_url
from ganforge.data.shards.member_table import sidecar_path
from ganforge.errors import DataError, ShardError
from ganforge.io.atomic import atomic_file
from ganforge.io.cache import node_cache_dir
from ganforge.io.network import NUM_ATTEMPTS, retried

logger = logging.getLogger(__name__)
_CHUNK = 2**20
_ABANDONED_SEC = 3600
"""A partial file that nobody wrote to for so long was left by a killed process."""
_GB = 1e9


class ShardCache:
    """Local copies of remote shards, named by content hash; the least recently used go first.

    Safe for several processes. A reader gets an open file, which stays readable when another
    process evicts the shard, so no lock is needed to open one that is there. A shard is fetched by
    one process while the others wait for it; before the fetch, room for it is made and reserved.
    With one open shard per process, the disk holds at most `max_bytes` and one shard per process.
    """

    def __init__(self, folder: str | None, max_bytes: int) -> None:
        """Set up a cache.

        Args:
            folder: created when needed. Default: `shards` in a cache folder of this machine.
            max_bytes: limit on all shards together; a single larger shard is still kept.
        """
        self.folder = Path(folder) if folder else node_cache_dir() / "shards"
        self._is_default = not folder
        self.max_bytes = max_bytes

    def path(self, info: ShardInfo) -> Path:
        """Where the copy of a shard lies."""
        return self.folder / f"{info.sha256}.tar"

    def open(self, url: str, info: ShardInfo) -> FileIO:
        """Open the copy of a shard for reading; fetch it first if it is not there.

        Raises:
            ShardError: it cannot be fetched, or its content is not what the index says.
            DataError: the cache cannot be written.
        """
        try:
            return _open_kept(self.path(info)) or self._fetch_alone(url, info)
        except OSError as err:
            raise DataError(
                f"Shard {url} cannot be kept in the cache {self.folder} "
                f"({type(err).__name__}: {err}). Set data.cache_dir to a writable folder with room."
            ) from err

    def _fetch_alone(self, url: str, info: ShardInfo) -> FileIO:
        """Fetch a shard, or wait until another process has.

        Raises:
            ShardError: it cannot be fetched, or its content is not what the index says.
        """
        if self._is_default:
            _make_private(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        # One lock for each first digit of the hash, so that 16 shards are fetched at once.
        with FileLock(self.folder / f"fetch-{info.sha256[0]}.lock"):
            kept = _open_kept(self.path(info))
            if kept is not None:
                return kept
            try:
                return retried(lambda: self._fetch(url, info), ShardError)
            except ShardError as err:
                raise ShardError(
                    f"{err} (tried {NUM_ATTEMPTS} times). Check the connection and your right to "
                    f"read it; if the shard was replaced, upload it again with its index.json."
                ) from err

    def _fetch(self, url: str, info: ShardInfo) -> FileIO:
        evicting = FileLock(self.folder / "evict.lock", poll_interval=0.01)
        with contextlib.ExitStack() as at_rest, atomic_file(self.path(info)) as partial:
            with evicting:
                partial.touch()
                os.truncate(partial, info.num_bytes)  # counted from now on
                self._evict()
            with partial.open("r+b") as target:
                copy_checked(url, target, info)
            # Held until the file has its name, so that evictions see a folder at rest.
            at_rest.enter_context(evicting)
            self._evict()  # what was needed while others reserved room too
            return partial.open("rb", buffering=0)

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


def _make_private(folder: Path) -> None:
    """Create a folder that only this user can write, perhaps in a temporary folder of many users.

    Raises:
        PermissionError: it exists and belongs to another user, who could change its shards.
    """
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    owner = folder.parent.stat().st_uid
    if owner != os.getuid():
        raise PermissionError(f"{folder.parent} belongs to another user (uid {owner})")


def _open_kept(path: Path) -> FileIO | None:
    """Open a file and mark it as used now; None when there is none."""
    try:
        file = path.open("rb", buffering=0)
    except FileNotFoundError:
        return None
    os.utime(file.fileno())
    return file


def open_shard(location: str, info: ShardInfo, cache: ShardCache) -> tuple[Path, FileIO]:
    """A shard's local path, and the shard open for reading.

    Raises:
        OSError: a local shard cannot be opened.
        ShardError: a remote shard cannot be fetched.
        DataError: the cache cannot be written.
    """
    url = join_location(location, info.name)
    if is_remote(location):
        return cache.path(info), cache.open(url, info)
    return Path(url), open(url, "rb", buffering=0)


def warn_of_small_cache(config: DataConfig, location: str, index: DatasetIndex) -> None:
    """Log a warning when a remote data set does not fit into the cache, or the cache on its disk.

    A node reads other shards in each epoch, so its working set is the whole data set.
    """
    needed = sum(shard.num_bytes for shards in index.streams.values() for shard in shards)
    if not is_remote(location):
        return
    if needed > config.cache_bytes:
        logger.warning(
            "The data set at %s has %.2f GB, data.cache_bytes allows %.2f GB: shards are fetched "
            "again in every epoch. Set data.cache_bytes=%d if the disk has room, or copy the data "
            "to a file system that all nodes see.",
            *(location, needed / _GB, config.cache_bytes / _GB, needed),
        )
    folder = ShardCache(config.cache_dir, config.cache_bytes).folder
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    total = shutil.disk_usage(there).total
    if min(needed, config.cache_bytes) > total:
        logger.warning(
            "The shard cache %s may grow to %.2f GB, but its disk has %.2f GB. Set data.cache_dir "
            "to a folder on a larger local disk, or lower data.cache_bytes.",
            *(folder, min(needed, config.cache_bytes) / _GB, total / _GB),
        )


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
        if size > info.num_bytes:  # before it fills the disk
            raise ShardError(f"Shard {url}: is longer than the {info.num_bytes} bytes of the index")
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
