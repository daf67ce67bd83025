"""Makes a folder of 60 kinds of files, as people have them: python THIS_FILE photos."""

import io
import os
import struct
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

COLORS = np.arange(32 * 32 * 3, dtype=np.uint32).reshape(32, 32, 3).astype(np.uint8)
RGB = Image.fromarray(COLORS)
FOREIGN = ("heic", "jp2", "jxl", "svg", "psd", "cr2", "ico", "exr", "tga")
OTHERS = (
    *("txt", "json", "xml", "md", "mp4", "ipynb", "xmp", "py"),
    *("part", "crdownload", "bak", "png~", "zip", "tar.gz", "7z", "csv", "jsonl", "parquet", "npy"),
)
HIDDEN = (
    *(".DS_Store", "._1.png", "Thumbs.db", "desktop.ini", ".git/config", "@eaDir/1.png/M.jpg"),
    *(".thumbnails/1.png", "$RECYCLE.BIN/1.png", "__MACOSX/cat/._1.png"),
)


def encoded(img, format_name, **options):
    buffer = io.BytesIO()
    img.save(buffer, format_name, **options)
    return buffer.getvalue()


def sound():
    """Images that can be read, by name."""
    exif = Image.Exif()
    exif[0x0112] = 6
    text = PngInfo()
    text.add_text("parameters", "x" * 2**21)
    formats = {"jpg": "JPEG", "JPE": "JPEG", "jfif": "JPEG", "webp": "WEBP", "avif": "AVIF"}
    formats |= {"png": "PNG", "tif": "TIFF", "bmp": "BMP", "gif": "GIF", "ppm": "PPM"}
    files = {f"1.{suffix}": encoded(RGB, name) for suffix, name in formats.items()}
    files |= {"no-extension": files["1.png"], "img.dat": files["1.jpg"]}
    files |= {
        "gray.png": encoded(RGB.convert("L"), "PNG"),
        "alpha.png": encoded(RGB.convert("RGBA"), "PNG"),
        "16-bit.png": encoded(Image.fromarray(COLORS[..., 0].astype(np.uint16) * 257), "PNG"),
        "palette.png": encoded(RGB.convert("P"), "PNG"),
        "cmyk.jpg": encoded(RGB.convert("CMYK"), "JPEG"),
        "turned.jpg": encoded(RGB, "JPEG", exif=exif),
        "large-text.png": encoded(RGB, "PNG", pnginfo=text),
        "caf\u00e9.png": files["1.png"],
    }
    return files


def bad():
    """Images that cannot be read, by name."""
    png = encoded(RGB, "PNG")
    large = png[:16] + struct.pack(">II", 60000, 60000) + png[24:]
    return {
        "empty.png": b"",
        "cut.jpg": encoded(RGB, "JPEG")[:300],
        "page.png": b"<!DOCTYPE html><title>404</title>",
        "pointer.png": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7\n",
        "cut.png": png[:20],
        "bomb.png": large,
    }


def make(folder: Path) -> int:
    """Write the folder; returns the number of its files."""
    files = {f"cat/{name}": data for name, data in sound().items()}
    files |= {f"dog/{name}": data for name, data in {**bad(), "1.png": encoded(RGB, "PNG")}.items()}
    files |= {f"dog/2.{suffix}": b"?" for suffix in FOREIGN}
    files |= {f"cat/2.{suffix}": b"?" for suffix in OTHERS}
    files |= {"bird/1.heic": b"?", **dict.fromkeys(HIDDEN, b"?")}
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / "empty").mkdir()
    (folder / "cats").symlink_to("cat")
    (folder / "dog" / "gone.png").symlink_to("nowhere.png")
    (folder / "dog" / "gone.txt").symlink_to("nowhere.txt")
    os.mkfifo(folder / "dog" / "pipe")
    return len(files) + 5


if __name__ == "__main__":
    make(Path(sys.argv[1]))
