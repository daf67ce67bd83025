"""Files of images: which ones there are, the sample keys made of their names, and safe names."""

import os
from pathlib import Path, PurePath, PurePosixPath

from ganforge.data.sources.class_names import natural_order
from ganforge.errors import DataError

EXTENSIONS = frozenset(
    {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".ppm", ".pgm"}
)
ARRAYS = ".npy"
"""Arrays are read as images where a folder holds no image files: elsewhere they are embeddings."""


def is_image(path: PurePath) -> bool:
    """Whether a file is an image by its name, and not hidden."""
    return path.suffix.lower() in EXTENSIONS and not path.name.startswith(".")


def image_files(folder: Path, option: str) -> list[str]:
    """Names of all image files below a folder, relative to it, in natural order.

    Raises:
        DataError: there is no such folder, or it holds no image.
    """
    if not folder.is_dir():
        raise DataError(f"{option}={str(folder)!r} is not a folder. Correct the path.")
    found: list[str] = []
    arrays: list[str] = []
    for base, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        inside = Path(base).relative_to(folder)
        found += [str(inside / name) for name in files if is_image(Path(name))]
        shown = (name for name in files if not name.startswith("."))
        arrays += [str(inside / name) for name in shown if Path(name).suffix.lower() == ARRAYS]
    found = found or arrays
    if not found:
        idx = next((path for path in sorted(folder.rglob("*idx3*")) if path.is_file()), None)
        if idx is not None:
            raise DataError(
                f"{option}={str(folder)!r} holds no images, but IDX files. Name the file of the "
                f"images: {idx} (as a source: {{name: idx, images: {idx}}})."
            )
        known = ", ".join(sorted(EXTENSIONS | {ARRAYS}))
        raise DataError(
            f"{option}={str(folder)!r} holds no images ({known}). Correct the path, or convert the "
            f"images."
        )
    return sorted(found, key=natural_order)


def key_of(name: str) -> str:
    """A sample key made of a relative file name: no dots, slashes or unprintable characters."""
    return "".join("_" if c in "./\\" or not c.isprintable() else c for c in name)


def check_inside(member: str, archive: str) -> None:
    """Refuse a member of an archive whose name leads out of it.

    Raises:
        DataError: its name is absolute, or holds `..`.
    """
    path = PurePosixPath(member)
    if path.is_absolute() or ".." in path.parts:
        raise DataError(
            f"{archive} has a member '{member}', which points out of the archive. Do not trust it; "
            f"write it again with relative paths."
        )
