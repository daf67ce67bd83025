"""The folder of a data set that is being written: nothing is in its place before all is."""

import contextlib
import errno
import logging
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from ganforge.data.shards.index import INDEX_NAME, load_index
from ganforge.data.shards.members import sidecar_path
from ganforge.data.shards.storage import is_remote, join_location
from ganforge.errors import DataError

try:
    import fcntl
except ImportError:  # Windows has no flock; what a killed writer left is then only named.
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def new_folder(out: Path | str, overwrite: bool) -> Iterator[Path]:
    """A folder to write into, which takes the place of `out` when the block ends well.

    Each writer has a folder of its own, `.NAME.partial-XXXXXXXX` beside `out`; of two writers the
    last one may fail, but neither spoils what the other writes.

    Args:
        out: must not exist, or be empty.
        overwrite: a data set may be there, and nothing else; it is replaced.

    Raises:
        DataError: `out` is remote, taken (by another writer meanwhile too), or cannot be written.
    """
    if is_remote(str(out)):
        raise DataError(
            f"Shards are written to a local folder, not to {out}. Prepare into a folder, then "
            f"copy it with your storage's own tool."
        )
    out = Path(out).resolve()
    try:
        _check_free(out, overwrite)
        _remove_leftovers(out)
        with _partial(out) as partial:
            yield partial
            _put_in_place(partial, out, overwrite)
    except OSError as err:
        raise DataError(
            f"Shards cannot be written to {out} ({type(err).__name__}: {err}). Choose a writable "
            f"folder with enough room in data.shards."
        ) from err


def check_apart(location: str, out: Path | str) -> None:
    """Refuse to write a data set into the folder of another that is read, or around it.

    Raises:
        DataError: one folder lies in the other. They may be the same.
    """
    if is_remote(location) or is_remote(str(out)):
        return
    read, written = Path(join_location(location, INDEX_NAME)).parent.resolve(), Path(out).resolve()
    if read in written.parents or written in read.parents:
        inner, outer = (out, location) if read in written.parents else (location, out)
        raise DataError(
            f"{inner} lies in {outer}, and one of them is read while the other is written. Choose "
            f"an OUT beside {location}."
        )


def _check_free(out: Path, overwrite: bool) -> None:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not overwrite or not (out / INDEX_NAME).is_file():
        raise DataError(
            f"{out} already exists and is not empty. Delete it, choose another folder, or give "
            f"--overwrite (only a folder with an {INDEX_NAME} is ever overwritten)."
        )
    try:
        index = load_index(str(out))
    except DataError as err:
        raise DataError(
            f"{out} is not overwritten: which of its files are the data set's cannot be told. "
            f"{err} Or delete the folder, or choose another."
        ) from err
    shards = [Path(shard.name) for infos in index.streams.values() for shard in infos]
    own = {INDEX_NAME, *map(str, shards), *(str(sidecar_path(shard)) for shard in shards)}
    foreign = sorted(path.name for path in out.iterdir() if path.name not in own)
    if foreign:
        more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        raise DataError(
            f"{out} is not overwritten: it holds {foreign[0]!r}{more}, which its {INDEX_NAME} does "
            f"not name and which would be deleted. Remove it, or choose another folder."
        )


def _sibling(out: Path, kind: str) -> Path:
    return out.parent / f".{out.name}.{kind}-{secrets.token_hex(4)}"


@contextlib.contextmanager
def _partial(out: Path) -> Iterator[Path]:
    """A new folder beside `out`, locked while this process lives and removed at the end."""
    while True:
        # mkdir, not tempfile.mkdtemp: the data set is to be as readable as other new folders.
        partial = _sibling(out, "partial")
        partial.mkdir(parents=True)
        lock = _lock(partial, wait=True)
        if partial.exists():
            break
        # Another writer took it for a left-over before it was locked.
        _unlock(lock)
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        _unlock(lock)


def _lock(folder: Path, wait: bool) -> int | None:
    """A descriptor that locks a folder until it is closed, or None when that cannot be had.

    A lock and not a process number: it ends with the process, on whichever machine that runs.
    """
    if fcntl is None:
        return None
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        os.close(handle)
        return None
    return handle


def _unlock(handle: int | None) -> None:
    if handle is not None:
        os.close(handle)


def _remove_leftovers(out: Path) -> None:
    """Remove what killed writers left beside `out`; name what may still be in use."""
    names = re.compile(rf"\.{re.escape(out.name)}\.(partial|old)-[0-9a-f]{{8}}")
    for path in out.parent.iterdir() if out.parent.is_dir() else ():
        found = names.fullmatch(path.name)
        if found is None:
            continue
        lock = _lock(path, wait=False)
        # What was set aside to be replaced is the only copy until the new one is in its place.
        if lock is None or (found[1] == "old" and not out.exists()):
            logger.warning(
                "%s is being written by another process, or was left by one that was killed. If "
                "none is at work, delete it.",
                path,
            )
        else:
            shutil.rmtree(path, ignore_errors=True)
        _unlock(lock)


def _put_in_place(partial: Path, out: Path, overwrite: bool) -> None:
    old = _sibling(out, "old")
    try:
        _check_free(out, overwrite)
        if overwrite:
            with contextlib.suppress(FileNotFoundError):
                out.rename(old)
        partial.rename(out)
    except DataError as err:
        raise DataError(f"Something was put in place while the shards were written: {err}") from err
    except OSError as err:
        if err.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        raise DataError(
            f"Another process wrote {out} at the same time and was first; its data set stays, "
            f"this one is dropped. Use that one, or choose another folder."
        ) from err
    finally:
        if old.exists() and out.exists():
            shutil.rmtree(old, ignore_errors=True)
        elif old.exists():
            old.rename(out)
