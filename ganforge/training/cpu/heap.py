"""The C heap of a run on a CPU: freed memory stays in the process, in huge pages.

A training step frees memory that the next step allocates again. By default glibc returns it to the
kernel, which hands it out again page by page, zeroed. Keeping it makes the steps of small networks
a tenth faster (docs/benchmarks.md).
"""

import ctypes
import functools
import sys

# Parameters of mallopt(3) and madvise(2).
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_MADV_HUGEPAGE = 14
_NEVER = 2**31 - 1
# The largest value that glibc accepts for M_MMAP_THRESHOLD; larger blocks stay outside the heap.
_LARGEST_IN_HEAP = 32 * 2**20
_RESERVED = 2**30
_HUGE_PAGE = 2 * 2**20


@functools.cache
def keep_heap() -> bool:
    """Keep freed memory in the heap, and back 1 GiB of it with huge pages; once per process.

    The 1 GiB are addresses: memory that is never used is never taken. Without glibc nothing
    changes.

    Returns:
        Whether the kernel accepted the huge pages.
    """
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):
        return False
    libc.sbrk.restype = libc.malloc.restype = ctypes.c_void_p
    libc.sbrk.argtypes, libc.free.argtypes = [ctypes.c_ssize_t], [ctypes.c_void_p]
    libc.malloc.argtypes = [ctypes.c_size_t]
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    libc.mallopt(_M_TRIM_THRESHOLD, _NEVER)
    libc.mallopt(_M_MMAP_THRESHOLD, _LARGEST_IN_HEAP)
    libc.mallopt(_M_TOP_PAD, _RESERVED)
    start = libc.sbrk(0)
    # A block that does not fit into the free part of the heap makes it grow by block and pad.
    libc.free(libc.malloc(_LARGEST_IN_HEAP - _HUGE_PAGE))
    libc.mallopt(_M_TOP_PAD, _LARGEST_IN_HEAP)
    start, end = -(-start // _HUGE_PAGE) * _HUGE_PAGE, libc.sbrk(0)
    return bool(end > start and libc.madvise(start, end - start, _MADV_HUGEPAGE) == 0)
