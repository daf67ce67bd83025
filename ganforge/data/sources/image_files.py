"""Which files of a folder or an archive are images, the sample keys made of names, safe names."""

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath, PurePosixPath
from urllib.parse import quote

from ganforge.data.sources import left_out as reasons
from ganforge.data.sources.class_names import natural_order
from ganforge.data.sources.file_labels import LABEL_FILE
from ganforge.data.sources.left_out import LeftOut, system_part
from ganforge.data.sources.walk import walk
from ganforge.errors import DataError
from ganforge.imaging.codec import HAS_AVIF
from ganforge.io.signatures import HEAD_BYTES, image_suffix

logger = logging.getLogger(__name__)

EXTENSIONS = frozenset(
    {
        *(".png", ".apng", ".webp", ".tif", ".tiff", ".bmp", ".gif"),
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".jfi", ".jif", ".pjpeg", ".pjp", ".mpo"),
        *(".ppm", ".pgm", ".pbm", ".pnm"),
        *((".avif", ".avifs") if HAS_AVIF else ()),
    }
)
"""Of the formats that `imaging.codec` decodes."""
ARRAYS = ".npy"
"""Arrays are read as images where a folder holds no image files: elsewhere they are embeddings."""
_FOREIGN = frozenset(
    {
        *(".avif", ".avifs", ".heic", ".heif", ".hif", ".jxl", ".jxr", ".wdp", ".flif"),
        *(".jp2", ".j2k", ".jpf", ".jpx", ".jpc", ".j2c"),
        *(".svg", ".svgz", ".psd", ".psb", ".xcf", ".ai", ".eps", ".ps", ".ico", ".cur", ".icns"),
        *(".tga", ".dds", ".exr", ".hdr", ".pcx", ".pfm", ".qoi", ".sgi", ".rgb", ".ras", ".xbm"),
        *(".xpm", ".dib", ".wmf", ".emf", ".raw", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf"),
        *(".rw2", ".raf", ".srw", ".pef", ".dcm", ".nii", ".fits", ".fit"),
    }
)
"""Of images that cannot be read."""
_ARCHIVES = frozenset(
    {".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst", ".7z", ".rar", ".lmdb"}
)
_TABLES = frozenset({".csv", ".tsv", ".jsonl", ".ndjson", ".parquet"})
_UNFINISHED = frozenset(
    {".part", ".partial", ".crdownload", ".opdownload", ".download", ".aria2", ".tmp", ".temp"}
    | {".bak", ".orig", ".old", ".swp"}
)
# Not opened to look for an image: there may be one beside each image.
_SIDECARS = frozenset(
    {".txt", ".json", ".xml", ".yaml", ".yml", ".md", ".html", ".py", ".ipynb", ".log"}
    | {".cls", ".npz", ".pt", ".pth", ".mat", ".h5", ".pkl"}
    | {".caption", ".xmp", ".thm", ".aae", ".mp4", ".mov", ".avi", ".mkv", ".webm", ".wav", ".mp3"}
)
_REASONS: Mapping[str, str] = {
    ARRAYS: reasons.ARRAY,
    **dict.fromkeys(_SIDECARS, reasons.OTHER),
    **dict.fromkeys(_TABLES, reasons.TABLE),
    **dict.fromkeys(_FOREIGN - EXTENSIONS, reasons.FORMAT),
    **dict.fromkeys(_ARCHIVES, reasons.ARCHIVE),
    **dict.fromkeys(_UNFINISHED, reasons.UNFINISHED),
    ".icloud": reasons.CLOUD,
}
"""Why a file with an extension is no image."""


def is_image(path: PurePath) -> bool:
    """Whether a file is an image by its name, and not hidden."""
    return path.suffix.lower() in EXTENSIONS and system_part(path.name) is None


class ImageChoice:
    """Chooses the images among the files of a folder or an archive, and counts all others.

    A file is an image by its extension; by its content where the extension says nothing.
    """

    def __init__(self, where: str) -> None:
        self.left_out = LeftOut(where)
        self.images: list[str] = []
        self.arrays: list[str] = []
        self._unnamed: list[str] = []

    def add(self, name: str, head: Callable[[], bytes]) -> str | None:
        """Take a file, or count it as left out.

        Args:
            name: relative, with slashes.
            head: reads the first bytes.

        Returns:
            the extension of an image that is taken, by its content if its name has none.
        """
        if os.path.basename(name) == LABEL_FILE:
            return None
        reason, suffix = self._judge(name, head)
        if reason is None:
            self.images.append(name)
            return suffix
        if reason is reasons.ARRAY:
            self.arrays.append(name)
        else:
            self.left_out.add(reason, name)
        return None

    def _judge(self, name: str, head: Callable[[], bytes]) -> tuple[str | None, str]:
        suffix = os.path.splitext(name)[1].lower()
        if system_part(name):
            return reasons.HIDDEN, suffix
        if suffix in EXTENSIONS:
            return None, suffix
        if suffix in _REASONS or name.endswith("~"):
            return _REASONS.get(suffix, reasons.UNFINISHED), suffix
        inside = image_suffix(head())
        if inside is None:
            return reasons.OTHER, suffix
        if inside not in EXTENSIONS:
            return reasons.FORMAT, suffix
        self._unnamed.append(name)
        return None, inside

    def chosen(self, option: str, path: str) -> list[str]:
        """The images in natural order, after `log`.

        Raises:
            DataError: there are none.
        """
        images = self.images or self.arrays
        if self.images:
            self.leave_out_arrays()
        if not images:
            raise self.nothing(option, path)
        self.log({name.partition("/")[0] for name in images if "/" in name})
        return sorted(images, key=natural_order)

    def leave_out_arrays(self) -> None:
        """Count the arrays as left out."""
        for name in self.arrays:
            self.left_out.add(reasons.ARRAY, name)

    def log(self, used_folders: set[str]) -> None:
        """Log what is left out, and which images have no extension."""
        self.left_out.log(used_folders)
        if self._unnamed:
            logger.info(
                "%d files of %s without an image extension are images, and are used, e.g. '%s'.",
                len(self._unnamed),
                self.left_out.where,
                self._unnamed[0],
            )

    def nothing(self, option: str, path: str) -> DataError:
        """The error for a place without images, with what there is instead."""
        extensions = ", ".join(sorted(EXTENSIONS | {ARRAYS}))
        found = "".join(f" {text}" for _, text in self.left_out.messages(set()))
        return DataError(
            f"{option}={path!r} holds no images ({extensions}){looked_in(path)}. Correct the path, "
            f"or convert the images.{found}"
        )


def image_files(folder: Path, option: str, keep_unreadable: bool = False) -> list[str]:
    """Names of all image files below a folder, relative to it, with slashes, in natural order.

    Args:
        folder: each folder below it is read once, also where links lead to it.
        option: names the folder in messages.
        keep_unreadable: a folder that may not be read is listed as well, as its name and a slash,
            for `data.on_bad_sample` to decide.

    Raises:
        DataError: there is no such folder, it holds no image, or a folder cannot be read.
    """
    if not folder.is_dir():
        fault = "is a file, not a folder" if folder.is_file() else "is not a folder"
        raise DataError(f"{option}={str(folder)!r} {fault}{looked_in(folder)}. Correct the path.")
    choice = choice_below(folder, keep_unreadable=keep_unreadable)
    _refuse_other_data(folder, option, choice)
    return choice.chosen(option, str(folder))


def choice_below(
    folder: Path,
    *,
    keep_unreadable: bool = False,
    is_apart: Callable[[str], bool] = lambda name: False,
) -> ImageChoice:
    """The images among all files below a folder, and what is left out, not yet logged.

    Args:
        folder: each folder below it is read once, also where links lead to it.
        keep_unreadable: as of `image_files`.
        is_apart: whether a file that is not hidden, by its name, is none of the images nor counted.

    Raises:
        DataError: a folder cannot be read.
    """
    choice = ImageChoice(str(folder))
    for entry in walk(folder):
        name = entry.name
        if entry.kind == "folder":
            if "/" not in name:
                choice.left_out.add_folder(name)
        elif entry.kind == "unreadable":
            if not keep_unreadable or not name:
                raise unreadable_folder(folder / name, entry.error) from entry.error
            choice.images.append(f"{name}/")
        elif entry.kind == "file" or (entry.kind == "broken" and is_image(PurePosixPath(name))):
            # A broken link to an image is a bad sample.
            if not is_apart(name):
                choice.add(name, lambda path=folder / name: _head(path))  # type: ignore[misc]
        else:
            choice.left_out.add(_REASON_OF_KIND[entry.kind], name)
    return choice


_REASON_OF_KIND = {
    "hidden": reasons.HIDDEN,
    "linked": reasons.LINK,
    "broken": reasons.BROKEN,
    "special": reasons.SPECIAL,
}


_OTHER_DATA = (
    ("*idx3*", "IDX files", "idx, images"),
    ("*.tar", "tar files", "webdataset, urls"),
    ("*.tar.gz", "tar files", "webdataset, urls"),
    ("*.tgz", "tar files", "webdataset, urls"),
    ("*.zip", "zip archives", "zip, path"),
    ("*.parquet", "Parquet tables", "hf, path: parquet, data_files"),
    ("*.csv", "a table", "manifest, path"),
    ("*.jsonl", "a table", "manifest, path"),
)
"""Pattern, kind and source of files that may hold the images of a folder without any."""


def _refuse_other_data(folder: Path, option: str, choice: ImageChoice) -> None:
    """Name the source for a folder that holds no images, but IDX files, tars or zips."""
    if choice.images or choice.arrays:
        return
    for pattern, kind, source in _OTHER_DATA:
        path = next((path for path in sorted(folder.rglob(pattern)) if path.is_file()), None)
        if path is not None:
            path = path.with_name(pattern) if "webdataset" in source else path
            raise DataError(
                f"{option}={str(folder)!r} holds no images, but {kind}. Name the file of the "
                f"images: {path} (as a source: {{name: {source}: {path}}})."
            )


def unreadable_folder(path: Path, error: OSError | None) -> DataError:
    """The error for a folder that may not be listed."""
    return DataError(
        f"Folder {path} cannot be read ({error}). Correct its permissions, or move it elsewhere."
    )


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(HEAD_BYTES)
    except OSError:
        return b""


def looked_in(path: Path | str) -> str:
    """For messages about a relative path: the folder it is relative to."""
    return "" if os.path.isabs(path) else f" (looked in {Path.cwd()})"


def key_of(name: str) -> str:
    """A sample key made of a relative file name: unique, and without dots or slashes.

    A slash becomes `+` and a dot `,`; these and unprintable characters are percent-encoded, so
    that different names have different keys: "a/img_1.png" has the key "a+img_1,png".
    """
    return "".join(map(_key_character, name))


def _key_character(c: str) -> str:
    if c in "./":
        return {".": ",", "/": "+"}[c]
    if c in "+,%\\" or not c.isprintable():
        return quote(c, safe="", errors="surrogatepass")
    return c


def check_inside(member: str, archive: str) -> None:
    """Refuse a member of an archive whose name leads out of it.

    Raises:
        DataError: its name is absolute, or holds `..`.
    """
    if member.startswith("/") or ".." in member.split("/"):
        raise DataError(
            f"{archive} has a member '{member}', which points out of the archive. Do not trust it; "
            f"write it again with relative paths."
        )
