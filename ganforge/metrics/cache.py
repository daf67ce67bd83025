"""A cache of the features of real images, addressed by everything that determines them."""

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ganforge.io.atomic import atomic_file

log = logging.getLogger(__name__)
_FORMAT = 1


class FeatureCache:
    """A folder with one file per set of features, named by the hash of its key."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, key: Mapping[str, Any]) -> Path:
        """The file of a key, which holds anything that JSON can."""
        digest = hashlib.sha256(_canonical(key).encode()).hexdigest()
        return self.folder / f"features-{digest[:32]}.safetensors"

    def load(self, key: Mapping[str, Any]) -> Tensor | None:
        """Features [N, D]; None when there are none, or they are damaged (logged)."""
        path = self.path(key)
        if not path.exists():
            return None
        try:
            return _read(path, _canonical(key))
        except (SafetensorError, OSError, _Damaged) as err:
            log.warning("Cached features %s are damaged (%s): computing them again.", path, err)
            return None

    def save(self, key: Mapping[str, Any], features: Tensor) -> None:
        """Write features [N, D] atomically.

        A folder that cannot be written to is logged: the numbers do not depend on the cache.
        """
        path = self.path(key)
        features = features.contiguous()
        metadata = {"key": _canonical(key), "sha256": _tensor_digest(features)}
        try:
            with atomic_file(path) as partial:
                save_file({"features": features}, partial, metadata=metadata)
        except (OSError, SafetensorError) as err:
            log.warning(
                "Features of the real images cannot be cached in %s (%s), so the next evaluation "
                "computes them again. Set evaluate.cache_dir to a writable folder.",
                self.folder,
                err,
            )


class _Damaged(Exception):
    """A cache file does not hold what was written."""


def _read(path: Path, key: str) -> Tensor:
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        features: Tensor = file.get_tensor("features")
    if metadata.get("key") != key:
        raise _Damaged("it belongs to another key")
    if metadata.get("sha256") != _tensor_digest(features):
        raise _Damaged("its checksum does not match")
    return features


def _canonical(key: Mapping[str, Any]) -> str:
    return json.dumps({**key, "format": _FORMAT}, sort_keys=True)


def _tensor_digest(features: Tensor) -> str:
    return hashlib.sha256(features.numpy().tobytes()).hexdigest()
