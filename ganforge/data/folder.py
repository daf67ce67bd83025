"""The folder of a data set that is being written: nothing is in its place before all is."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from ganforge.data.index import INDEX_NAME
from ganforge.data.storage import is_remote
from ganforge.errors import DataError


@contextlib.contextmanager
def new_folder(out: Path | str, overwrite: bool) -> Iterator[Path]:
    """A folder to write into, which takes the place of `out` when the block ends well.

    Args:
        out: must not exist, or be empty.
        overwrite: a data set may be there; it is replaced.

    Raises:
        DataError: `out` is remote, taken, or cannot be written.
    """
    if is_remote(str(out)):
        raise DataError(
            f"Shards are written to a local folder, not to {out}. Prepare into a folder, then "
            f"copy it with your storage's own tool."
        )
    out = Path(out)
    _check_free(out, overwrite)
    partial = out.parent / f".{out.name}.partial"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        _put_in_place(partial, out)
    except OSError as err:
        raise DataError(
            f"Shards cannot be written to {out} ({type(err).__name__}: {err}). Choose a writable "
            f"folder with enough room in data.shards."
        ) from err
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _check_free(out: Path, overwrite: bool) -> None:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if overwrite and (out / INDEX_NAME).is_file():
        return
    raise DataError(
        f"{out} already exists and is not empty. Delete it, choose another folder, or ask to "
        f"overwrite it (only a folder with an {INDEX_NAME} is ever overwritten)."
    )


def _put_in_place(partial: Path, out: Path) -> None:
    if out.exists() and any(out.iterdir()):
        old = out.parent / f".{out.name}.old"
        shutil.rmtree(old, ignore_errors=True)
        out.rename(old)
        partial.rename(out)
        shutil.rmtree(old)
    else:
        partial.replace(out)
