"""Writes images as PNG files."""

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from ganforge.errors import ConfigError
from ganforge.io.atomic import atomic_file


def check_folder(folder: Path) -> None:
    """Refuse a folder that cannot be created, before anything is generated.

    Raises:
        ConfigError: it, or a part of its path, is a file.
    """
    for path in (folder, *folder.parents):
        if path.is_dir():
            return
        if path.exists():
            raise ConfigError(
                f"Cannot write to the folder {folder}: {path} is a file. Choose another path, or "
                f"remove it."
            )


def save_images(
    images: Sequence[Image.Image], folder: str | Path, names: Sequence[str] | None = None
) -> list[Path]:
    """Write one PNG per image; each appears when it is whole.

    Args:
        images: PIL images.
        folder: created when needed.
        names: file names without extension. Default: 000000, 000001, ...

    Returns:
        The files, in order.
    """
    stems = [f"{i:06d}" for i in range(len(images))] if names is None else names
    paths = [Path(folder) / f"{stem}.png" for stem in stems]
    for path, image in zip(paths, images, strict=True):
        write_png(path, image)
    return paths


def write_png(path: Path, image: Image.Image) -> None:
    """Write a picture; the file appears when it is whole."""
    # Pillow hides the system's error when a write fails, so it writes to memory.
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    with atomic_file(path) as temporary:
        temporary.write_bytes(buffer.getvalue())
