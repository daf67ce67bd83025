"""Finds the Inception weights: a given file, the cache, or a download whose hash is checked."""

import hashlib
import urllib.error
import urllib.request
from pathlib import Path

import torch

from ganforge.errors import MetricError
from ganforge.io.atomic import atomic_file
from ganforge.io.cache import default_cache_dir

PUBLISHED_SHA256_PREFIX = "6726825d"
"""First digits of the hash of the published file."""
PUBLISHED_NAME = f"weights-inception-2015-12-05-{PUBLISHED_SHA256_PREFIX}.pth"
"""The name of the published file, known here so that looking for it does not import torchvision."""
_TIMEOUT_SEC = 20
_CHOICES = (
    "set `weights` of the extractor to a copy of it, e.g. "
    "evaluate.extractor: {name: inception_v3, weights: PATH}, or choose another extractor "
    "(`ganforge plugins list`)"
)


def weights_url() -> str:
    """The address at which torch-fidelity publishes the weights."""
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

    return str(URL_INCEPTION_V3)


def find_weights(path: str | None, cache_dir: str | None, sha256: str | None) -> tuple[bytes, str]:
    """The content and the location of the weights file.

    Args:
        path: a file chosen by the user, or None.
        cache_dir: folder to search, and to download to. Default: the user's cache.
        sha256: first digits of the expected hash; None accepts any.

    Raises:
        MetricError: there is no such file, or its hash is different.
    """
    if path is not None:
        return _read(Path(path), sha256), path
    cached = (Path(cache_dir) if cache_dir else default_cache_dir()) / PUBLISHED_NAME
    for candidate in (cached, Path(torch.hub.get_dir()) / "checkpoints" / PUBLISHED_NAME):
        if candidate.exists():
            return _read(candidate, sha256), str(candidate)
    return _download(weights_url(), cached, sha256), str(cached)


def _read(path: Path, sha256: str | None) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as err:
        raise MetricError(
            f"The weights of 'inception_v3' cannot be read from {path}: {err}. "
            f"Correct `weights`, or leave it out to use the cache or a download."
        ) from err
    _check_hash(content, sha256, str(path))
    return content


def _check_hash(content: bytes, sha256: str | None, where: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if sha256 is not None and not found.startswith(sha256.lower()):
        raise MetricError(
            f"{where} has SHA-256 {found[:16]}..., expected {sha256}...: it is not the published "
            f"Inception, or it is damaged. Delete it and get it again; to measure with other "
            f"weights on purpose, set sha256: null on the extractor."
        )


def _download(url: str, target: Path, sha256: str | None) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SEC) as response:
            content: bytes = response.read()
    except (urllib.error.URLError, OSError) as err:
        raise MetricError(
            f"The weights of 'inception_v3' are neither in {target.parent} nor can they "
            f"be downloaded ({err}). Put {url} into that folder, or {_CHOICES}."
        ) from err
    _check_hash(content, sha256, url)
    try:
        with atomic_file(target) as partial:
            partial.write_bytes(content)
    except OSError as err:
        raise MetricError(
            f"The downloaded weights cannot be written to {target}: {err}. Set "
            f"evaluate.cache_dir to a folder that can be written."
        ) from err
    return content
