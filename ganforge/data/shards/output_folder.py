"""The folder that a data set is written to: what may be replaced, and what may not."""

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from ganforge.data.shards.index import INDEX_NAME, load_index
from ganforge.data.shards.locations import is_remote, join_location
from ganforge.data.shards.member_table import sidecar_path
from ganforge.errors import DataError
from ganforge.io.atomic import atomic_folder


@contextlib.contextmanager
def new_folder(out: Path | str, overwrite: bool) -> Iterator[Path]:
    """A temporary folder that takes the place of `out` when the block ends without an error.

    Of two writers the later one may fail, but neither changes what the other writes.

    Args:
        out: must not exist, or be empty.
        overwrite: `out` may hold a data set and nothing else; it is replaced.

    Raises:
        DataError: `out` is remote, taken (perhaps by another writer meanwhile), or cannot be
            written.
    """
    if is_remote(str(out)):
        raise DataError(
            f"Shards are written to a local folder, not to {out}. Prepare into a folder, then "
            f"copy it with your storage's own tool."
        )
    out = Path(out).resolve()

    def check() -> None:
        try:
            _check_free(out, overwrite)
        except DataError as err:
            message = f"Something was put in place while the shards were written: {err}"
            raise DataError(message) from err

    try:
        _check_free(out, overwrite)
        with atomic_folder(out, replace=overwrite, check=check) as partial:
            yield partial
    except OSError as err:
        if err.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise DataError(
                f"Another process wrote {out} at the same time and finished first; its data set "
                f"stays, this one is dropped. Use that one, or choose another folder."
            ) from err
        raise DataError(
            f"Shards cannot be written to {out} ({type(err).__name__}: {err}). Choose a writable "
            f"folder with enough room in data.shards."
        ) from err


def check_apart(location: str, out: Path | str) -> None:
    """Refuse to write a data set inside the folder of the one that is read, or around it.

    Raises:
        DataError: one folder contains the other. They may be the same.
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
            f"{out} is not overwritten: there is no way to tell which of its files belong to the "
            f"data set. {err} Or delete the folder, or choose another."
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
