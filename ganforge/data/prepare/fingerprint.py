"""Fingerprints of samples, which tell whether a source still gives what it gave before."""

import dataclasses
import hashlib
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ganforge.interfaces.source import Frames, Sample

_PLAIN = (str, int, float, np.number, type(None))


def fingerprint(sample: Sample) -> str:
    """16 hexadecimal digits that change with the sample's key, group, fault or any of its fields.

    A file counts by its path, size and modification time, not by its content, which is slow to
    read. Values that cannot be compared get a fingerprint that never comes again.
    """
    digest = hashlib.blake2b(digest_size=8)
    _add(digest, [sample.key, sample.group, sample.fault, sample.fields])
    return digest.hexdigest()


def _add(digest: hashlib.blake2b, value: Any) -> None:
    """Hash a value, with its type and length, so that different values never look alike."""
    kind = type(value).__name__
    if isinstance(value, _PLAIN):
        digest.update(f"{kind} {value!r};".encode())
    elif isinstance(value, Path):
        digest.update(f"{kind} {str(value)!r} {_state(value)};".encode())
    elif isinstance(value, bytes):
        digest.update(f"{kind} {len(value)};".encode() + value)
    elif isinstance(value, Mapping):
        _add(digest, [*value.items()])
    elif isinstance(value, list | tuple):
        digest.update(f"{kind} {len(value)};".encode())
        for part in value:
            _add(digest, part)
    elif isinstance(value, np.ndarray) and not value.dtype.hasobject:
        digest.update(f"{kind} {value.dtype} {value.shape};".encode() + value.tobytes())
    elif dataclasses.is_dataclass(value):  # `ImageHalf`, `Poses` and videos
        _add(digest, [getattr(value, field.name) for field in dataclasses.fields(value)])
    elif isinstance(value, Frames):  # of a package; it may hold the path of a file
        _add(digest, [kind, vars(value)])
    else:
        try:
            _add(digest, pickle.dumps(value))
        except (TypeError, AttributeError, pickle.PicklingError):
            _add(digest, os.urandom(8))


def _state(path: Path) -> str:
    try:
        state = path.stat()
    except OSError as err:
        return type(err).__name__
    return f"{state.st_size} {state.st_mtime_ns}"
