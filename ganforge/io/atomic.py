"""Files and folders that appear whole or not at all, and write errors that name their file."""

import contextlib
import logging
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from ganforge.errors import GanforgeError
from ganforge.io.locks import lock_path, unlock

logger = logging.getLogger(__name__)
_RUST_ERROR = re.compile(r"\(os error (\d+)\)")


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Add `path` to operating-system errors that name no file.

    `write` and `close` name none. Libraries written in Rust, such as safetensors, raise their own
    exceptions with the system's error number in the text.

    Raises:
        OSError: the same error, with a `filename`.
    """
    try:
        yield
    except OSError as err:
        if err.errno is not None and err.filename is None:
            err.filename = str(path)
        raise
    except Exception as err:
        found = _RUST_ERROR.search(str(err))
        if found is None or isinstance(err, GanforgeError):
            raise
        number = int(found[1])
        raise OSError(number, os.strerror(number), str(path)) from err


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to `path` unless the block raises.

    Devices, pipes and symlinks are written in place.

    Raises:
        OSError: the file cannot be written; names it.
    """
    with naming(path):
        if path.is_symlink() or (path.exists() and not path.is_file()):
            yield path
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        # Cut, for a name may have 255 bytes, of which `path` may use all.
        temporary = path.with_name(f".{path.stem[:32]}-{secrets.token_hex(4)}{path.suffix[:32]}")
        try:
            yield temporary
            temporary.replace(path)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def atomic_folder(
    folder: Path, *, replace: bool, check: Callable[[], None] = lambda: None
) -> Iterator[Path]:
    """A new temporary folder beside `folder`, renamed to `folder` unless the block raises.

    The content is flushed to disk before the rename. Every writer has its own temporary folder, so
    writers of the same `folder` do not disturb each other; what killed ones left is removed. A
    symlink stays, and the folder that it points to is replaced.

    Args:
        folder: the folder to write; its parents are created.
        replace: whether it may replace an existing folder; if not, it must be absent or empty.
        check: called right before the rename; raises to leave an existing folder in place.

    Raises:
        OSError: the folder cannot be written, or exists and may not be replaced.
    """
    folder = folder.resolve()
    with naming(folder):
        _remove_leftovers(folder)
        with _partial_folder(folder) as partial:
            yield partial
            for path in (*partial.rglob("*"), partial):
                _flush(path)
            check()
            _put_in_place(partial, folder, replace)
            _flush(folder.parent)


@contextlib.contextmanager
def _partial_folder(folder: Path) -> Iterator[Path]:
    """A new folder beside `folder`, locked while this process lives and removed at the end."""
    while True:
        partial = _sibling(folder, "partial")
        partial.mkdir(parents=True)
        lock = lock_path(partial, wait=True)
        if partial.exists():
            break
        # Another writer took it for a leftover before it was locked.
        unlock(lock)
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        unlock(lock)


def _sibling(folder: Path, kind: str) -> Path:
    return folder.with_name(f".{folder.name}.{kind}-{secrets.token_hex(4)}")


def _put_in_place(partial: Path, folder: Path, replace: bool) -> None:
    """Rename `partial` to `folder`; on failure the folder that was there comes back."""
    old = _sibling(folder, "old")
    if replace:
        with contextlib.suppress(FileNotFoundError):
            folder.rename(old)
    try:
        partial.rename(folder)
    finally:
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)
        elif old.exists():
            old.rename(folder)


def _remove_leftovers(folder: Path) -> None:
    """Remove what killed writers left beside `folder`; report what may still be in use."""
    names = re.compile(rf"\.{re.escape(folder.name)}\.(partial|old)-[0-9a-f]{{8}}")
    for path in folder.parent.iterdir() if folder.parent.is_dir() else ():
        found = names.fullmatch(path.name)
        if found is None:
            continue
        lock = lock_path(path, wait=False)
        # A folder set aside to be replaced is the only copy until the new one is in its place.
        if lock is None or (found[1] == "old" and not folder.exists()):
            logger.warning(
                "%s is being written by another process, or was left by a killed one. If no "
                "process writes it, delete it.",
                path,
            )
        else:
            shutil.rmtree(path, ignore_errors=True)
        unlock(lock)


def _flush(path: Path) -> None:
    """Write a file's content, or a folder's entries, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
