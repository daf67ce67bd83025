"""Writes images to files."""

import io
from pathlib import Path
from typing import Any

from PIL import Image

from ganforge.errors import ConfigError
from ganforge.imaging.codec import Pixels, encode_png
from ganforge.io.atomic import atomic_file


def check_folder(folder: Path) -> None:
    """Refuse a folder that cannot be created, because it or a part of its path is a file."""
    for path in (folder, *folder.parents):
        if path.is_dir():
            return
        if path.exists():
            raise ConfigError(
                f"Cannot write to the folder {folder}: {path} is a file. Choose another path, or "
                f"remove it."
            )


def write_png(path: Path, image: Image.Image) -> None:
    """Write a picture; its folder is created, and the file appears when it is whole."""
    write_image(path, image, "PNG")


def write_pixels(path: Path, pixels: Pixels) -> None:
    """Write a PNG of exactly these pixels [H, W, C], uint8 or uint16; as `write_png`."""
    with atomic_file(path) as temporary:
        temporary.write_bytes(encode_png(pixels))


def write_image(path: Path, image: Image.Image, file_format: str, **options: Any) -> None:
    """Write an image with Pillow's options of the format, as a whole or not at all."""
    # Pillow hides the system's error when a write fails, so it writes to memory.
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    with atomic_file(path) as temporary:
        temporary.write_bytes(buffer.getvalue())
