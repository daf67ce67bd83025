"""Removes what a compiler that was killed has left in the cache of torch.compile.

The linker writes a kernel in place, and Inductor loads whatever has its name: after a kill while it
links, every later start would fail with "file too short".
"""

import contextlib
import functools
import logging
import os
import struct
from pathlib import Path

from ganforge.io.locks import lock_path, unlock

log = logging.getLogger(__name__)
_HEADER = struct.Struct("<4s36xQ10xHH2x")
"""Of a 64-bit ELF file: magic, offset of the section headers, size and number of these."""


@functools.cache
def remove_unfinished_kernels() -> None:
    """Remove shared libraries that are not whole, unless a process is building them."""
    from torch._inductor.runtime.cache_dir_utils import cache_dir

    try:
        folder = Path(cache_dir())
    except OSError:
        return  # compilation says so
    for path in folder.glob("*/*.so"):
        if _is_whole(path):
            continue
        # Inductor holds this lock while it builds; the system drops it when the process ends.
        lock_file = folder / "locks" / f"{path.name.partition('.')[0]}.lock"
        lock = lock_path(lock_file, wait=False)
        if lock is not None or not lock_file.exists():
            with contextlib.suppress(OSError):  # of another user
                path.unlink()
                log.info("Removed %s, which a stopped compiler left unfinished.", path)
        unlock(lock)


def _is_whole(path: Path) -> bool:
    """Whether a file has the section headers, which end it; other formats count as whole."""
    try:
        with path.open("rb") as file:
            data, size = file.read(_HEADER.size), os.fstat(file.fileno()).st_size
    except OSError:
        return True  # another process removed it
    if len(data) < _HEADER.size:
        return False
    magic, offset, header_size, number = _HEADER.unpack(data)
    if magic != b"\x7fELF":
        return any(data)  # a hole where the header belongs
    return bool(number) and offset + number * header_size <= size
