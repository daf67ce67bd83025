"""No damaged PNG reaches a decoder that it could bring down."""

import io
import random
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from ganforge.imaging.codec import Undecodable, decode_image, encode_png
from ganforge.imaging.png import SIGNATURE, checked_png

PIXELS = np.arange(9 * 7 * 3, dtype=np.uint16).reshape(9, 7, 3) * 341
GOOD = encode_png(PIXELS)

FLIPS = """
import random, sys
from ganforge.imaging.codec import Undecodable, decode_image
good, seed, count = sys.stdin.buffer.read(), int(sys.argv[1]), int(sys.argv[2])
draw = random.Random(seed)
for number in range(count):
    data = bytearray(good)
    for _ in range(1 + number % 3):
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    if number % 5 == 0:
        del data[draw.randrange(len(data)):]
    try:
        decode_image(bytes(data))
    except Undecodable:
        pass
print("alive")
"""


def chunk(kind, body):
    crc = zlib.crc32(kind + body)
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc)


def png(header, packed):
    parts = [(b"IHDR", header), (b"IDAT", packed), (b"IEND", b"")]
    return SIGNATURE + b"".join(chunk(kind, body) for kind, body in parts)


def header(width=7, height=9, depth=16, color=2, interlace=0):
    return struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlace)


def rows(count=9, size=42, filtering=0):
    return zlib.compress(bytes([filtering, *bytes(size)]) * count)


@pytest.mark.parametrize("kind", ["L", "RGB", "RGBA", "P", "1", "I;16"])
def test_png_of_any_kind_keeps_its_pixels(kind):
    buffer = io.BytesIO()
    Image.fromarray((PIXELS[..., 0] % 256).astype(np.uint8)).convert(kind).save(buffer, "PNG")
    checked = checked_png(buffer.getvalue())
    if kind != "P":  # its colors are in a part that is left out
        found = [np.asarray(Image.open(io.BytesIO(b))) for b in (checked, buffer.getvalue())]
        assert np.array_equal(*found)


def test_png_with_other_parts_loses_only_these():
    text = chunk(b"tEXt", b"Comment\0" + b"x" * 3000)
    assert checked_png(GOOD[:33] + text + GOOD[33:]) == checked_png(GOOD)
    assert np.array_equal(decode_image(GOOD[:33] + text + GOOD[33:]), PIXELS)


def test_png_with_a_transparent_color_keeps_it():
    white = chunk(b"tRNS", b"\xff" * 6)
    assert white in checked_png(GOOD[:33] + white + GOOD[33:])
    assert checked_png(GOOD[:33] + chunk(b"tRNS", b"\xff") + GOOD[33:]) == checked_png(GOOD)


def test_png_interlaced_is_measured_by_its_passes():
    sizes = [(2, 1), (2, 1), (1, 2), (3, 2), (2, 4), (5, 3), (4, 7)]  # of 7 x 9 pixels
    packed = zlib.compress(b"".join(bytes(n * (1 + 6 * w)) for n, w in sizes))
    checked_png(png(header(interlace=1), packed))
    with pytest.raises(ValueError, match="bytes of pixels"):
        checked_png(png(header(interlace=1), rows()))


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "no PNG"),
        (GOOD[:40], "damaged PNG .cut short"),
        (GOOD[:-12], "cut short"),
        (GOOD[:50] + bytes([GOOD[50] ^ 1]) + GOOD[51:], "checksum of its part b'IDAT'"),
        (png(header(depth=3), rows()), "impossible header"),
        (png(header(width=0), rows()), "without pixels"),
        (png(header(), rows(count=8)), "344 bytes of pixels, not 387"),
        (png(header(), rows(count=10)), "388 bytes of pixels, not 387"),
        (png(header(), rows(filtering=5)), "unknown filter"),
        (png(header(), rows()[:-4]), "bytes of pixels"),
        (png(header(), b"none"), "damaged PNG"),
        (png(b"", rows()), "without a header"),
    ],
)
def test_png_that_is_damaged_is_refused_with_its_fault(data, fault):
    with pytest.raises(ValueError, match=fault):
        checked_png(data)


def test_png_bomb_is_refused_before_it_is_unpacked():
    packed = zlib.compress(bytes(50_000_000))
    with pytest.raises(ValueError, match="388 bytes of pixels, not 387"):
        checked_png(png(header(), packed))


def test_decoding_survives_flipped_and_missing_bytes():
    seed = random.Random(3).randrange(2**31)
    found = subprocess.run(
        [sys.executable, "-c", FLIPS, str(seed), "2000"],
        input=GOOD, capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    assert (found.returncode, found.stdout.strip()) == (0, b"alive"), found.stderr[-500:]


def test_decode_image_of_a_damaged_16_bit_png_is_undecodable():
    with pytest.raises(Undecodable, match="damaged PNG"):
        decode_image(GOOD[:50] + bytes([GOOD[50] ^ 1]) + GOOD[51:])
