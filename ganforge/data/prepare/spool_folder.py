"""The folder that keeps encoded samples until their data set is written."""

import contextlib
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ganforge.data.prepare.recipe import changes
from ganforge.data.prepare.spool import Spool
from ganforge.io.locks import lock_path, unlock

logger = logging.getLogger(__name__)

MIN_KEPT_BYTES = 2**24
"""Less than this is removed when a prepare ends early; most images are encoded again in seconds."""
_LOCK_NAME = "lock"


class SpoolFolder:
    """Opens the spools of a data set, in a folder beside the data set.

    The folder outlives a process that is stopped or killed, and the next one goes on. It is locked:
    a process that does not get it spools in a folder of its own.
    """

    def __init__(self, out: Path | str | None = None) -> None:
        """Name the folder beside `out`; the first `open` makes it. None keeps nothing."""
        self.path: Path | None = None
        if out is not None and (out := Path(out).resolve()).name:
            self.path = out.with_name(f".{out.name}.spool")
        self._lock: int | None = None
        self._is_held: bool | None = None
        self._num_records = 0
        self._has_more = False

    def __enter__(self) -> "SpoolFolder":
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        """Remove the folder, unless an error leaves much to go on from."""
        if self.path is None or not self._is_held:
            return
        if kind is not None and _size(self.path) >= MIN_KEPT_BYTES:
            logger.warning(
                "The encoded samples (%s%d) are kept in %s. Run the same command to go on; delete "
                "the folder to start over.",
                "more than " * self._has_more,
                self._num_records,
                self.path,
            )
        else:
            shutil.rmtree(self.path, ignore_errors=True)
        unlock(self._lock)

    @contextlib.contextmanager
    def open(
        self, stream: str, made_by: Mapping[str, Any], schema: Mapping[str, Any], own: Path
    ) -> Iterator[Spool]:
        """The spool of a stream, closed when the block ends.

        Args:
            stream: names the file.
            made_by: the recipe of the data set; records of another one are removed.
            schema: of the stream; likewise.
            own: a folder for the spool while another process holds this one.

        Raises:
            OSError: the spool cannot be written.
        """
        path = (self._hold() or own) / f"{stream}.spool"
        spool = Spool(path, {"made_by": made_by, "schema": schema})
        try:
            if spool.replaced is not None:
                changed = changes(spool.replaced["made_by"], made_by) or "their form has changed"
                logger.info("Samples of an earlier prepare are not taken over: %s.", changed)
            yield spool
        finally:
            self._num_records += spool.num_records
            self._has_more |= spool.has_more
            with contextlib.suppress(OSError):  # of a full disk, which another error names
                spool.close()
            if not self._is_held:
                path.unlink(missing_ok=True)

    def _hold(self) -> Path | None:
        """Make and lock the folder, at the first call; None if it cannot be used."""
        while self.path is not None and self._is_held is None:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = lock_path(self.path / _LOCK_NAME, wait=False, create=True)
            if self._lock is None:
                self._is_held = False
                with contextlib.suppress(OSError):
                    self.path.rmdir()  # if nobody uses it
                logger.info(
                    "%s is used by another process, or cannot be locked. If this prepare is "
                    "stopped, it cannot go on where it was.",
                    self.path,
                )
            elif _is_at(self._lock, self.path / _LOCK_NAME):
                self._is_held = True
            else:  # it was removed before it was locked
                unlock(self._lock)
        return self.path if self._is_held else None


def _size(folder: Path) -> int:
    """Bytes of the files in a folder; 0 if somebody has deleted it."""
    try:
        return sum(path.stat().st_size for path in folder.iterdir())
    except OSError:
        return 0


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
