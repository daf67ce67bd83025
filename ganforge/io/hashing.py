"""Hashes: sha256 of files, and splitmix64 of integers.

splitmix64 (Steele et al. 2014, doi:10.1145/2660193.2660195) decides the order of data and the seed
of every random number. Unlike a library's generator it never changes with a version.
"""

import hashlib
from io import FileIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

GAMMA = 0x9E3779B97F4A7C15
"""The increment of splitmix64's state."""
_MASK = (1 << 64) - 1
_MIX_1 = 0xBF58476D1CE4E5B9
_MIX_2 = 0x94D049BB133111EB


def file_sha256(path: Path) -> str:
    """sha256 of a file, in hexadecimal.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb", buffering=0) as file:
        return open_file_sha256(file)


def open_file_sha256(file: FileIO) -> str:
    """sha256 of what an open file still holds, in hexadecimal.

    Raises:
        OSError: it cannot be read.
    """
    return hashlib.file_digest(file, "sha256").hexdigest()


def splitmix64(value: int) -> int:
    """The splitmix64 finaliser of an integer, taken modulo 2**64."""
    value &= _MASK
    value = ((value ^ (value >> 30)) * _MIX_1) & _MASK
    value = ((value ^ (value >> 27)) * _MIX_2) & _MASK
    return value ^ (value >> 31)


def hash_key(*parts: int) -> int:
    """Fold integers into one 64-bit key; every part and its place matter."""
    key = 0
    for part in parts:
        key = splitmix64(key + GAMMA + splitmix64(part + GAMMA))
    return key


def hash_range(start: int, count: int, key: int) -> NDArray[np.uint64]:
    """Hashes of the integers start .. start + count - 1 under `key`: [count] uint64."""
    with np.errstate(over="ignore"):
        value = np.arange(start + 1, start + count + 1, dtype=np.uint64) * np.uint64(GAMMA)
        value += np.uint64(key)
        value = (value ^ (value >> np.uint64(30))) * np.uint64(_MIX_1)
        value = (value ^ (value >> np.uint64(27))) * np.uint64(_MIX_2)
    return value ^ (value >> np.uint64(31))
