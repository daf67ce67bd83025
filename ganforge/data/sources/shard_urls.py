"""The tar shards that an option names: URLs, paths, braces, patterns, folders."""

import glob
import itertools
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from ganforge.data.sources.class_names import natural_order
from ganforge.errors import DataError
from ganforge.redaction import redacted

_MAX_SHARDS = 10**6
_SUFFIXES = (
    *(".tar", ".tgz", ".tar.gz", ".taz", ".tar.bz2", ".tbz2", ".tbz", ".tar.xz", ".txz"),
    *(".tar.zst", ".tzst"),  # which are refused with what to do
)


def names_tar(url: str) -> bool:
    """Whether a URL is that of a tar file, by its extension."""
    return url.partition("?")[0].lower().endswith(_SUFFIXES)


def expand_shards(urls: str | Sequence[str]) -> list[str]:
    """The tars that some URLs or paths stand for.

    Args:
        urls: with braces (`x-{000..099}.tar`), `~`, and for local files `*`; or a folder of tars.

    Raises:
        DataError: braces do not match, a pattern fits no file, or a tar is named twice.
    """
    listed = [urls] if isinstance(urls, str) else list(urls)
    shards = [shard for url in listed for shard in _expand(url)]
    if not shards:
        raise DataError(f"urls={urls!r} names no tar. Name one.")
    shard, count = Counter(shards).most_common(1)[0]
    if count > 1:
        raise DataError(f"urls={urls!r} names {shard} {count} times. Name it once.")
    return shards


def _expand(url: str) -> list[str]:
    url = os.path.expanduser(url)
    if url.startswith("pipe:") and "{" not in url or Path(url).is_file():
        return [url]
    from webdataset.shardlists import expand_urls  # which imports torch

    try:
        found = list(itertools.islice(expand_urls(url), _MAX_SHARDS))
    except ValueError as err:  # unbalanced braces
        raise DataError(f"urls={url!r} cannot be expanded ({err}). Correct the braces.") from err
    return [shard for pattern in found for shard in _matches(pattern)]


def _matches(pattern: str) -> list[str]:
    path = Path(pattern)
    if path.is_dir():
        inside = [str(file) for file in path.iterdir() if file.name.lower().endswith(_SUFFIXES)]
        found = [file for file in inside if not Path(file).name.startswith(".")]
    elif ":" in pattern or path.is_file() or not glob.has_magic(pattern):
        return [pattern]
    else:
        found = glob.glob(pattern, recursive=True)
    if not found:
        raise DataError(
            f"urls: no tar fits '{pattern}' (looked in {Path.cwd()}). Correct the path or pattern."
        )
    return sorted(found, key=natural_order)


def shard_names(shards: Sequence[str]) -> dict[str, str]:
    """A short name for each shard, different for all of them: its file name, else its URL."""
    names = {shard: redacted(PurePosixPath(shard).name) for shard in shards}
    count = Counter(names.values())
    return {shard: name if count[name] == 1 else redacted(shard) for shard, name in names.items()}
