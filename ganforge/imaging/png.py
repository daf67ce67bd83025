"""Checks a PNG before a decoder in C sees it: torchvision's ends the program on a damaged one.

Source: the PNG specification, https://www.w3.org/TR/png-3/, sections 5 (chunks) and 10.
"""

import struct
import zlib
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
"""The first bytes of a PNG file."""
_HEADER = struct.Struct(">IIBBBBB")
_TEXTS = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")
_EXIF_TEXT = b"Raw profile type exif"
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Samples per pixel of each color type."""
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
# (left, top, horizontal step, vertical step) of each pass of Adam7.
_PASSES = (
    (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8),
    (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2),
)  # fmt: skip


def checked_png(data: bytes | memoryview) -> bytes:
    """The PNG with its pixels and no other parts, after every check that a decoder may fail.

    The text of an error completes "The image ...".

    Raises:
        ValueError: a chunk is damaged or missing, or the pixels do not fill the image.
    """
    if bytes(data[:8]) != SIGNATURE:
        raise ValueError("is no PNG")
    chunks = list(_chunks(data))
    header = chunks[0][1] if chunks and chunks[0][0] == b"IHDR" else b""
    if len(header) != _HEADER.size:
        raise ValueError("is a PNG without a header")
    packed = b"".join(body for kind, body in chunks if kind == b"IDAT")
    _check_pixels(packed, _rows(_HEADER.unpack(header)))
    # The value that is transparent: one per sample.
    clear = [(k, b) for k, b in chunks if k == b"tRNS" and len(b) == 2 * _SAMPLES[header[9]]]
    kept = [(b"IHDR", header), *clear[:1], (b"IDAT", packed), (b"IEND", b"")]
    return SIGNATURE + b"".join(_chunk(kind, body) for kind, body in kept)


def lacks_rows(data: bytes | memoryview) -> bool:
    """Whether the pixels of a PNG end before its last row, which Pillow fills with zeros."""
    try:
        chunks = list(_chunks(data, is_strict=False))
        total = sum(number * size for number, size in _rows(_HEADER.unpack(chunks[0][1])))
        packed = b"".join(body for kind, body in chunks if kind == b"IDAT")
        return len(zlib.decompressobj().decompress(packed, total)) < total
    except (ValueError, IndexError, struct.error, zlib.error):
        return True


def without_texts(data: bytes | memoryview) -> bytes | memoryview:
    """The PNG without texts and color profiles: PIL refuses an image whose texts are large.

    EXIF data in a text are kept, because they hold the orientation.
    """
    kept, place = [bytes(data[:8])], 8
    while place + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, place)
        head = bytes(data[place + 4 : place + 8 + min(size, len(_EXIF_TEXT))])
        end = place + 12 + size
        if head[:4] not in _TEXTS or head[4:] == _EXIF_TEXT:
            kept.append(bytes(data[place:end]))
        place = end
    return b"".join(kept) if sum(map(len, kept)) < min(place, len(data)) else data


def _chunks(data: bytes | memoryview, *, is_strict: bool = True) -> Iterator[tuple[bytes, bytes]]:
    """Kind and body of each chunk up to the end mark; checked, or as far as they go."""
    place = 8
    while place + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, place)
        kind, end = bytes(data[place + 4 : place + 8]), place + 8 + size
        body = bytes(data[place + 8 : end])
        if end + 4 > len(data):
            break
        (crc,) = struct.unpack_from(">I", data, end)
        if is_strict and zlib.crc32(kind + body) != crc:
            raise ValueError(f"is a damaged PNG (wrong checksum of its part {kind!r})")
        yield kind, body
        if kind == b"IEND":
            return
        place = end + 4
    if is_strict:
        raise ValueError("is a damaged PNG (cut short)")


def _rows(header: tuple[int, ...]) -> list[tuple[int, int]]:
    """(number, bytes) of the rows of each pass, filter byte included."""
    width, height, depth, color, compression, filtering, interlace = header
    if depth not in _DEPTHS.get(color, ()) or compression or filtering or interlace > 1:
        raise ValueError("is a PNG with an impossible header")
    if not width or not height:
        raise ValueError("is a PNG without pixels")
    passes = _PASSES if interlace else ((0, 0, 1, 1),)
    sizes = [
        (-(-(height - top) // down), -(-(width - left) // right))
        for left, top, right, down in passes
    ]
    bits = depth * _SAMPLES[color]
    return [(rows, 1 + -(-cols * bits // 8)) for rows, cols in sizes if rows > 0 and cols > 0]


def _check_pixels(packed: bytes, rows: list[tuple[int, int]]) -> None:
    total = sum(number * size for number, size in rows)
    inflate = zlib.decompressobj()
    try:
        # One byte more than there should be: a bomb ends here.
        pixels = inflate.decompress(packed, total + 1)
    except zlib.error as err:
        raise ValueError(f"is a damaged PNG ({err})") from err
    if len(pixels) != total or not inflate.eof:
        raise ValueError(f"is a damaged PNG ({len(pixels)} bytes of pixels, not {total})")
    place = 0
    for number, size in rows:
        filters = pixels[place : place + number * size : size]
        if max(filters) > 4:
            raise ValueError("is a damaged PNG (unknown filter)")
        place += number * size


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
