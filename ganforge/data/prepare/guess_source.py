"""Guesses the source from a path, a URL or a Hub id."""

import os
import re
from pathlib import Path

from ganforge.data.sources.hf import is_saved_to_disk
from ganforge.data.sources.image_files import EXTENSIONS, is_image, looked_in
from ganforge.data.sources.shard_urls import names_tar
from ganforge.errors import DataError, suggest
from ganforge.imaging.video import VIDEO_SUFFIXES
from ganforge.interfaces.source import Source
from ganforge.registry.plugins import get_registry

_BY_SUFFIX = {
    ".zip": "zip",
    ".csv": "manifest",
    ".tsv": "manifest",
    ".jsonl": "manifest",
    ".ndjson": "manifest",
    **dict.fromkeys(VIDEO_SUFFIXES, "video"),
}
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)


def guess_source(location: str) -> dict[str, object]:
    """The `data.source` section for a location.

    Args:
        location: a folder of images, of videos or of `datasets`' save_to_disk, a video, a zip
            archive, a manifest, IDX images (labels beside them are found), tar files (braces
            allowed), a URL of tar files, the name of a registered source, or org/name of a data
            set on the Hub.

    Raises:
        DataError: it is none of these.
    """
    location = os.path.expanduser(location)
    path = Path(location)
    if location in get_registry().names(Source):
        return {"name": location}
    if _is_tar(location, path):
        return {"name": "webdataset", "urls": location}
    if is_saved_to_disk(path):
        return {"name": "hf", "path": location}
    if path.is_dir():
        return {"name": "video" if _holds_videos(path) else "folder", "path": location}
    if path.is_file() and "idx3" in path.name:
        labels = path.with_name(path.name.replace("images", "labels").replace("idx3", "idx1"))
        found = {"labels": str(labels)} if labels.is_file() and labels != path else {}
        return {"name": "idx", "images": location, **found}
    if path.is_file() and path.suffix.lower() == ".parquet":
        return {"name": "hf", "path": "parquet", "data_files": location}
    if path.is_file() and path.suffix.lower() in _BY_SUFFIX:
        return {"name": _BY_SUFFIX[path.suffix.lower()], "path": location}
    if not path.exists() and _HUB_ID.fullmatch(location):
        _check_not_local(path)
        return {"name": "hf", "path": location}
    raise _unknown(location, path)


def _is_tar(location: str, path: Path) -> bool:
    """Whether a location is a tar, also at an address.

    Raises:
        DataError: it is the address of a file of another kind.
    """
    if location.startswith("pipe:") or (names_tar(location) and not path.is_dir()):
        return True
    if "://" not in location:
        return ".tar" in path.suffixes and not path.exists()
    suffix = Path(location.partition("?")[0]).suffix.lower()
    if suffix in (*_BY_SUFFIX, ".parquet", *EXTENSIONS):
        raise DataError(
            f"'{location}' is the address of a {suffix} file; only tars are read from the web. "
            f"Download it first, e.g. with `curl -LO ADDRESS`, and name the file."
        )
    return True


def _unknown(location: str, path: Path) -> DataError:
    """The error for what is no source, with what it is instead."""
    if path.is_file() and is_image(path):
        return DataError(f"'{location}' is one image. Name the folder of the images: {path.parent}")
    absent = "" if path.exists() else f" There is no such file{looked_in(location)}."
    return DataError(
        f"'{location}' is not a folder of images, a video, a zip archive, a manifest (.csv, .tsv, "
        f".jsonl), a Parquet table, IDX images, tar files, org/name on the Hub or a source."
        f"{absent} {suggest(location, get_registry().names(Source))}"
    )


def _holds_videos(folder: Path) -> bool:
    """Whether videos, and no images, lie right in a folder."""
    files = [path for path in folder.iterdir() if path.is_file()]
    has_videos = any(path.suffix.lower() in VIDEO_SUFFIXES for path in files)
    return has_videos and not any(map(is_image, files))


def _check_not_local(path: Path) -> None:
    """Refuse what is more likely a mistyped path than org/name: asking the Hub takes long."""
    if path.suffix.lower() in _BY_SUFFIX or path.parent.is_dir():
        raise DataError(
            f"There is no '{path}': the folder '{path.parent}' "
            f"{f'has no {path.name!r}' if path.parent.is_dir() else 'does not exist'}. Correct the "
            f"path. If a data set on the Hub is meant, name its source: {{name: hf, path: {path}}} "
            f"in a pipeline file, or data prepare hf OUT source.path={path}."
        )
