"""Files that appear whole or not at all, and errors of writing that name their file."""

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

_RUST_ERROR = re.compile(r"\(os error (\d+)\)")


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Give an operating-system error that names no file this one.

    `write` and `close` name none; a library written in Rust, such as safetensors, raises errors
    of its own, with the system's number in their text.

    Raises:
        OSError: as it was, with a `filename`.
    """
    try:
        yield
    except OSError as err:
        if err.errno is not None and err.filename is None:
            err.filename = str(path)
        raise
    except Exception as err:
        found = _RUST_ERROR.search(str(err))
        if found is None:
            raise
        number = int(found[1])
        raise OSError(number, os.strerror(number), str(path)) from err


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place, unless an error comes first.

    What is there and no file of its own (a device, a pipe, a link) is written to as it is.

    Raises:
        OSError: it cannot be written; names it.
    """
    with naming(path):
        if path.is_symlink() or (path.exists() and not path.is_file()):
            yield path
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent
        )
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            # mkstemp makes files for the owner alone; this one is as any other.
            umask = os.umask(0)
            os.umask(umask)
            temporary.chmod(0o666 & ~umask)
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise


def write_text(path: Path, text: str) -> None:
    """Write UTF-8; the file appears when it is whole."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
