"""Image files to pixels and back: any format in, exact PNG (or the JPEG itself) out.

Pixels are arrays [H, W, C], uint8 or uint16, with C = 1 gray, 3 RGB, 4 RGBA, or any other number of
channels up to 16.
"""

import contextlib
import io
import re
import stat
import struct
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError, features

from ganforge.imaging.deep import avif_bits, read_ppm
from ganforge.imaging.orientation import UPRIGHT, orientation_of, upright, upright_array
from ganforge.imaging.png import checked_png, lacks_rows, without_texts
from ganforge.io.signatures import HEAD_BYTES, image_suffix, what_it_is

Bytes = bytes | memoryview
Pixels = NDArray[Any]
MAX_PIXELS = 2**27
"""Images larger than this are refused before they are unpacked."""
MAX_CHANNELS = 16
"""As in `config.data`, which this layer must not import."""
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
JPEG_SIGNATURE = b"\xff\xd8"
NPY_SIGNATURE = b"\x93NUMPY"
_ZIP_SIGNATURE = b"PK\3\4"
TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
HAS_AVIF = bool(features.check("avif"))
"""Whether the installed Pillow decodes AVIF."""
_PNG_HEADER = struct.Struct(">IIBBxxB")
_PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
_PNG_COLORS = {1: 0, 3: 2, 4: 6}
_PALETTE = 3
# PIL can run external programs for some formats (EPS), so the list is closed.
_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM") + ("AVIF",) * HAS_AVIF
_READ = (".png", ".jpg", ".webp", ".tif", ".bmp", ".gif", ".ppm", ".avif")


class Undecodable(Exception):
    """An image is damaged or unsuitable; the text completes "The image ...".

    All functions here that read an image raise it.
    """


def png_header(data: Bytes) -> tuple[int, int, int, int, bool]:
    """(height, width, channels, bits, interlaced) of a PNG, without unpacking it."""
    if len(data) < 33:
        raise Undecodable(f"is a PNG cut short after {len(data)} bytes")
    if data[12:16] != b"IHDR":  # Apple's tools write others, and so does damage
        raise Undecodable("is a PNG that does not begin with its header; save it as a usual PNG")
    width, height, depth, color, interlaced = _PNG_HEADER.unpack_from(data, 16)
    return height, width, _PNG_CHANNELS.get(color, 0), depth, bool(interlaced)


def decode_png16(data: Bytes) -> NDArray[np.uint16]:
    """A 16-bit PNG, which PIL would cut to 8 bits: [H, W, C]."""
    _check_size(*png_header(data)[:2])
    # Rarely needed, and slow to import.
    import torch
    from torchvision.io import ImageReadMode, decode_png

    try:
        # torchvision ends the program on damaged bytes, so they must not reach it.
        tensor = torch.frombuffer(bytearray(checked_png(data)), dtype=torch.uint8)
        img: torch.Tensor = decode_png(tensor, ImageReadMode.UNCHANGED)
    except ValueError as err:
        raise Undecodable(str(err)) from err
    except RuntimeError as err:
        raise Undecodable(f"is a damaged PNG ({err})") from err
    return upright_array(img.permute(1, 2, 0).numpy(), _png_orientation(data))


def _png_orientation(data: Bytes) -> int:
    """Of a 16-bit PNG, whose pixels Pillow need not unpack unless there are EXIF data."""
    if not re.search(b"eXIf|Raw profile type exif", data):
        return UPRIGHT
    with open_pillow(data) as img:
        return orientation_of(img)


def decode_image(
    value: Bytes | Path | Image.Image | NDArray[Any],
    value_range: tuple[float, float] | None = None,
) -> Pixels:
    """Pixels of an image file, a PIL image or an array, upright.

    Args:
        value: also a .npy file of [H, W] or [H, W, C].
        value_range: values that become 0 and 65535, for images of floats; others are clamped.

    Raises:
        Undecodable: it is damaged, too large, or of a kind that has no 8- or 16-bit form.
    """
    if isinstance(value, np.ndarray):
        return _from_array(value, value_range)
    if isinstance(value, Image.Image):
        return _from_pillow(value, value_range)
    data = read_image_file(value) if isinstance(value, Path) else value
    values = read_array(data)
    if values is not None:
        return _from_array(values, value_range)
    if data[:8] == PNG_SIGNATURE and png_header(data)[3] == 16:
        return _from_array(_spread_gray_alpha(decode_png16(data)), value_range)
    with open_pillow(data) as img:
        pixels = _from_pillow(img, value_range)
    if data[:8] == PNG_SIGNATURE:
        _check_last_row(data, pixels)
    return pixels


def _check_last_row(data: Bytes, pixels: Pixels) -> None:
    """Refuse a PNG without its last rows. Only a row of one color may be one that Pillow filled."""
    last = pixels[-1]
    is_suspect = png_header(data)[4] or bool((last == last[:1]).all())
    if is_suspect and lacks_rows(data):
        raise Undecodable("is a damaged PNG (its last rows are missing)")


def read_array(data: Bytes) -> NDArray[Any] | None:
    """The array in a .npy file, or in a TIFF or PPM that PIL cannot read; None for others."""
    if data[:6] == NPY_SIGNATURE:
        return read_npy(data)
    if data[:4] in TIFF_SIGNATURES:
        from ganforge.imaging.tiff import read_tiff  # which needs this module

        return read_tiff(data)
    try:
        return read_ppm(data, MAX_PIXELS)
    except ValueError as err:
        raise Undecodable(str(err)) from err


def read_npy(data: Bytes) -> NDArray[Any]:
    """The array in a .npy file."""
    if data[:4] == _ZIP_SIGNATURE:  # which NumPy opens as several arrays
        raise Undecodable("is an archive of arrays (.npz), not one array; save it with np.save")
    if data[:6] != NPY_SIGNATURE:  # which NumPy takes for a pickle, and says how to load that
        _refuse_pointer(data)
        raise Undecodable("is no .npy file; save it with np.save")
    try:
        values: NDArray[Any] = np.load(io.BytesIO(data), allow_pickle=False)
    except Exception as err:  # NumPy parses the header as Python: damage raises any type
        _refuse_pointer(data)
        raise Undecodable(f"is a damaged .npy file ({_text(err)})") from err
    return values


def image_size(path: Path) -> tuple[int, int]:
    """Height and width of an image file, upright, as its header says.

    The pixels are decoded only where the header cannot say it: of an array, of a PNG, whose
    orientation may stand at its end, and of a TIFF, which some versions of Pillow turn.

    Raises:
        Undecodable: the file cannot be read, or begins like no image.
    """
    data = read_image_file(path)
    values = read_array(data)
    if values is not None:
        return values.shape[0], values.shape[1]
    with open_pillow(data) as img:
        if img.format == "TIFF":
            img = upright(img)
            return img.height, img.width
        is_turned = orientation_of(img) >= 5
        return (img.width, img.height) if is_turned else (img.height, img.width)


@contextlib.contextmanager
def open_pillow(data: Bytes) -> Iterator[Image.Image]:
    """An image file opened by PIL. Faults of PIL in the block are raised as `Undecodable`."""
    if not data:
        raise Undecodable("is empty")
    _refuse_pointer(data)
    if data[:8] == PNG_SIGNATURE:
        _check_size(*png_header(data)[:2])
        data = without_texts(data)
    if (bits := avif_bits(data)) > 8:
        raise Undecodable(
            f"is an AVIF of {bits} bits per channel, of which Pillow reads 8; convert it to PNG, "
            f"e.g. avifdec --depth 16 in.avif out.png (or --depth 8)"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=_FORMATS) as img:
                _check_size(img.height, img.width)
                yield img
    except UnidentifiedImageError as err:
        raise Undecodable(_unknown_kind(bytes(data[:HEAD_BYTES]))) from err
    except Undecodable:
        raise
    except Exception as err:  # PIL raises almost any type on damaged bytes
        raise Undecodable(f"cannot be decoded ({_text(err)})") from err


def _text(err: Exception) -> str:
    return str(err) or type(err).__name__


def _unknown_kind(head: bytes) -> str:
    """What a file is that Pillow does not take, from its first bytes."""
    what = what_it_is(head)
    if what is None:
        return f"cannot be decoded: it is none of {', '.join(_FORMATS)}"
    if image_suffix(head) in _READ:
        return f"is {what} that cannot be decoded: it is damaged, or of a kind that is hardly used"
    return f"is {what}, none of {', '.join(_FORMATS)}"


def _refuse_pointer(data: Bytes) -> None:
    """Refuse what stands for a file that was not fetched."""
    what = what_it_is(bytes(data[:HEAD_BYTES])) or ""
    if what.startswith("only a pointer"):
        raise Undecodable(f"is {what}")


def read_image_file(path: Path) -> bytes:
    """The bytes of a file; an `Undecodable` says why it cannot be read."""
    try:
        if not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():
            raise Undecodable("is a pipe, a socket or a device, not a file")  # reading may hang
        return path.read_bytes()
    except (OSError, ValueError) as err:  # ValueError: a name with a null character
        raise Undecodable(f"cannot be read ({err})") from err


def _check_size(height: int, width: int) -> None:
    if height * width > MAX_PIXELS:
        raise Undecodable(
            f"has {height} x {width} pixels, more than the limit of {MAX_PIXELS} "
            f"(it may be a decompression bomb; scale it down first if it is not)"
        )


def _from_pillow(img: Image.Image, value_range: tuple[float, float] | None) -> Pixels:
    _check_size(img.height, img.width)
    img = upright(img)
    if img.mode == "F":
        return _from_array(np.asarray(img), value_range)
    if img.mode.startswith("I"):
        values = np.asarray(img)
        if value_range is None and 0 <= values.min() and values.max() <= 65535:
            values = values.astype(np.uint16)
        return _from_array(values, value_range)
    if img.mode == "La":  # which Pillow converts to nothing else
        img = img.convert("LA")
    if img.mode in ("RGBA", "LA", "PA", "RGBa") or "transparency" in img.info:
        mode = "RGBA"
    else:
        mode = "L" if img.mode in ("1", "L") else "RGB"
    pixels = np.asarray(img.convert(mode))
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    return pixels if value_range is None else _to_16_bits(pixels, value_range)


def _from_array(values: NDArray[Any], value_range: tuple[float, float] | None) -> Pixels:
    pixels = values[..., None] if values.ndim == 2 else values
    if pixels.ndim != 3 or not 1 <= pixels.shape[2] <= MAX_CHANNELS or not pixels.size:
        raise Undecodable(
            f"is an array of shape {list(values.shape)}; use [H, W] or [H, W, C] with 1 to "
            f"{MAX_CHANNELS} channels"
        )
    _check_size(*pixels.shape[:2])
    if pixels.dtype.kind not in "biuf":
        raise Undecodable(f"holds {pixels.dtype} values, not numbers")
    if value_range is not None:
        return _to_16_bits(pixels, value_range)
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    if pixels.dtype not in (np.uint8, np.uint16):
        raise Undecodable(
            f"holds {pixels.dtype} values from {pixels.min():g} to {pixels.max():g}; convert it to "
            f"8 or 16 bits (uint8, uint16), or set value_range of this field in data.fields to the "
            f"values of black and white"
        )
    return pixels


def _to_16_bits(values: NDArray[Any], value_range: tuple[float, float]) -> Pixels:
    low, high = value_range
    if not np.isfinite(values).all():
        raise Undecodable("holds values that are not finite; replace them")
    scaled = (values.astype(np.float64) - low) * (65535 / (high - low))
    return np.rint(scaled).clip(0, 65535).astype(np.uint16)


def _spread_gray_alpha(pixels: Pixels) -> Pixels:
    return pixels[..., [0, 0, 0, 1]] if pixels.shape[2] == 2 else pixels


def encode_pixels(pixels: Pixels) -> bytes:
    """A PNG of exactly these pixels.

    PNG knows 1, 3 and 4 channels. Of any other number, the channels become one gray image, one
    below the other: [C * H, W].
    """
    height, width, channels = pixels.shape
    if channels not in _PNG_COLORS:
        pixels = np.moveaxis(pixels, 2, 0).reshape(channels * height, width, 1)
    return encode_png(pixels)


def encode_jpeg(pixels: Pixels) -> bytes:
    """A JPEG of quality 95 with full color resolution, of gray or RGB pixels of 8 bits."""
    space = "GRAY" if pixels.shape[2] == 1 else "RGB"
    data: bytes = simplejpeg.encode_jpeg(pixels, 95, colorspace=space, colorsubsampling="444")
    return data


def decode_pixels(data: Bytes, channels: int) -> Pixels:
    """The pixels [H, W, channels] of `encode_pixels`."""
    pixels = decode_image(data)
    if channels not in _PNG_COLORS and pixels.shape[2] == 1 and len(pixels) % channels == 0:
        pixels = np.moveaxis(pixels.reshape(channels, -1, pixels.shape[1]), 0, 2)
    if pixels.shape[2] != channels:
        raise Undecodable(f"does not hold {channels} channels, but has the shape {pixels.shape}")
    return pixels


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
