"""Image files to pixels and back: any format in, exact PNG (or the JPEG itself) out.

Pixels are arrays [H, W, C], uint8 or uint16, with C = 1 gray, 3 RGB or 4 RGBA.
"""

import contextlib
import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

Bytes = bytes | memoryview
Pixels = NDArray[Any]
MAX_PIXELS = 2**27
"""Images larger than this are refused before they are unpacked."""
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
JPEG_SIGNATURE = b"\xff\xd8"
_PNG_HEADER = struct.Struct(">IIBBxxB")
_PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
_PNG_COLORS = {1: 0, 3: 2, 4: 6}
_PALETTE = 3
# PIL can run external programs for some formats (EPS), so the list is closed.
_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM")
_EXIF_ORIENTATION = 0x0112


class Undecodable(Exception):
    """An image is damaged or unsuitable; the text completes "The image ...".

    All functions here that read an image raise it.
    """


def png_header(data: Bytes) -> tuple[int, int, int, int, bool]:
    """(height, width, channels, bits, interlaced) of a PNG, without unpacking it."""
    if len(data) < 33:
        raise Undecodable(f"is a PNG cut short after {len(data)} bytes")
    width, height, depth, color, interlaced = _PNG_HEADER.unpack_from(data, 16)
    return height, width, _PNG_CHANNELS.get(color, 0), depth, bool(interlaced)


def decode_png16(data: Bytes) -> NDArray[np.uint16]:
    """A 16-bit PNG, which PIL would cut to 8 bits: [H, W, C]."""
    from torchvision.io import ImageReadMode, decode_png  # rarely needed; costs 100 MB

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch.frombuffer dislikes read-only buffers
            tensor = torch.frombuffer(data, dtype=torch.uint8)
        img: torch.Tensor = decode_png(tensor, ImageReadMode.UNCHANGED)
    except RuntimeError as err:
        raise Undecodable(f"is a damaged PNG ({err})") from err
    return img.permute(1, 2, 0).numpy()


def decode_image(value: Bytes | Path | Image.Image | NDArray[Any]) -> Pixels:
    """Pixels of an image file, a PIL image or an array, upright, with C = 1, 3 or 4.

    Raises:
        Undecodable: it is damaged, too large, or of a kind that has no 8- or 16-bit form.
    """
    if isinstance(value, np.ndarray):
        return _from_array(value)
    if isinstance(value, Image.Image):
        return _from_pillow(value)
    data = read_image_file(value) if isinstance(value, Path) else value
    if not data:
        raise Undecodable("is empty")
    if data[:8] == PNG_SIGNATURE:
        height, width, _, depth, _ = png_header(data)
        _check_size(height, width)
        if depth == 16:
            return _spread_gray_alpha(decode_png16(data))
    with _open(io.BytesIO(data)) as img:
        return _from_pillow(img)


def image_size(path: Path) -> tuple[int, int]:
    """Height and width of an image file, upright, as its header says.

    The pixels are decoded only where the header cannot say it: of a PNG, whose orientation may
    stand at its end, and of a TIFF that is not upright, which Pillow turns in some versions.

    Raises:
        Undecodable: the file cannot be read, or begins like no image.
    """
    if not path.is_file():
        read_image_file(path)  # says why not
    with _open(path) as img:
        _check_size(img.height, img.width)
        is_turned = img.getexif().get(_EXIF_ORIENTATION, 1) >= 5
        if is_turned and img.format == "TIFF":
            height, width, _ = _from_pillow(img).shape
            return height, width
        return (img.width, img.height) if is_turned else (img.height, img.width)


@contextlib.contextmanager
def _open(file: io.BytesIO | Path) -> Iterator[Image.Image]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(file, formats=_FORMATS) as img:
                yield img
    except UnidentifiedImageError as err:
        raise Undecodable(f"cannot be decoded: it is none of {', '.join(_FORMATS)}") from err
    except (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError) as err:
        raise Undecodable(f"cannot be decoded ({err})") from err


def read_image_file(path: Path) -> bytes:
    """The bytes of a file; an `Undecodable` says why it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as err:
        raise Undecodable(f"cannot be read ({err})") from err


def _check_size(height: int, width: int) -> None:
    if height * width > MAX_PIXELS:
        raise Undecodable(
            f"has {height} x {width} pixels, more than the limit of {MAX_PIXELS} "
            f"(it may be a decompression bomb; scale it down first if it is not)"
        )


def _from_pillow(img: Image.Image) -> Pixels:
    _check_size(img.height, img.width)
    if img.getexif().get(_EXIF_ORIENTATION, 1) != 1:
        img = ImageOps.exif_transpose(img)
    if img.mode.startswith("I"):
        values = np.asarray(img)
        if values.min() < 0 or values.max() > 65535:
            raise Undecodable(
                f"holds integers from {values.min()} to {values.max()}; convert it to 8 or 16 bits"
            )
        return values.astype(np.uint16)[..., None]
    if img.mode == "F":
        raise Undecodable("holds 32-bit floats; convert it to 8 or 16 bits first")
    if img.mode in ("RGBA", "LA", "La", "PA", "RGBa") or "transparency" in img.info:
        mode = "RGBA"
    else:
        mode = "L" if img.mode in ("1", "L") else "RGB"
    pixels = np.asarray(img.convert(mode))
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _from_array(values: NDArray[Any]) -> Pixels:
    pixels = values[..., None] if values.ndim == 2 else values
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 2, 3, 4):
        raise Undecodable(f"is an array of shape {list(values.shape)}; use [H, W] or [H, W, C]")
    if pixels.dtype not in (np.uint8, np.uint16):
        raise Undecodable(f"is an array of {pixels.dtype}; use uint8 or uint16")
    return _spread_gray_alpha(pixels)


def _spread_gray_alpha(pixels: Pixels) -> Pixels:
    return pixels[..., [0, 0, 0, 1]] if pixels.shape[2] == 2 else pixels


def encode_png(pixels: Pixels) -> bytes:
    """A PNG of exactly these pixels."""
    if pixels.dtype == np.uint16:
        return _encode_png16(pixels)
    buffer = io.BytesIO()
    img = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    img.save(buffer, "PNG")
    return buffer.getvalue()


def _encode_png16(pixels: NDArray[np.uint16]) -> bytes:
    """PIL and torchvision write no 16-bit RGB. Rows use the Sub filter of the PNG standard."""
    height, width, channels = pixels.shape
    raw = np.ascontiguousarray(pixels, dtype=">u2").view(np.uint8).reshape(height, -1)
    step = 2 * channels
    rows = np.empty((height, 1 + raw.shape[1]), dtype=np.uint8)
    rows[:, 0] = 1
    rows[:, 1 : 1 + step] = raw[:, :step]
    rows[:, 1 + step :] = raw[:, step:] - raw[:, :-step]
    header = struct.pack(">IIBBBBB", width, height, 16, _PNG_COLORS[channels], 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes())), (b"IEND", b""))
    return PNG_SIGNATURE + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def storable_as_is(data: Bytes, pixels: Pixels) -> str | None:
    """The extension under which an image file may be stored unchanged for `pixels`, or None."""
    if pixels.dtype != np.uint8:
        return None
    if data[:8] == PNG_SIGNATURE:
        height, width, channels, depth, interlaced = png_header(data)
        odd = data[25] == _PALETTE or b"tRNS" in bytes(data) or b"eXIf" in bytes(data)
        plain = depth == 8 and not interlaced and not odd
        return "png" if plain and (height, width, channels) == pixels.shape else None
    if data[:2] == JPEG_SIGNATURE and pixels.shape[2] != 4:
        return "jpg" if _is_sound_jpeg(data, pixels) else None
    return None


def _is_sound_jpeg(data: Bytes, pixels: Pixels) -> bool:
    """Whether the strict decoder of training reads it to the same upright pixels."""
    colorspace = "GRAY" if pixels.shape[2] == 1 else "RGB"
    try:
        *_, space, _ = simplejpeg.decode_jpeg_header(data)
        decoded = simplejpeg.decode_jpeg(data, colorspace=colorspace)
    except ValueError:
        return False
    spaces = ("Gray",) if colorspace == "GRAY" else ("YCbCr", "RGB")
    if space not in spaces or decoded.shape != pixels.shape:
        return False
    # A rotated photo has other pixels than its bytes, even when it is square.
    near = np.abs(decoded.astype(np.int16) - pixels) <= 16
    return bool(near.mean() > 0.9)
