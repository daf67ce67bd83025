"""One changed byte, or a cut, anywhere in an image file: pixels, or `Undecodable`.

In a child process with a time limit, because damage may crash or hang the decoders in C.
GANFORGE_TEST_FLIPS sets the number for each format.
"""

import io
import multiprocessing
import os
import random

import numpy as np
import pytest
import torchvision.io  # noqa: F401  # before the fork, for loading it takes long
from PIL import Image

from ganforge.data.prepare.field_encoders import PixelEncoder
from ganforge.data.shards.index import FieldSchema
from ganforge.imaging.codec import HAS_AVIF, Undecodable, decode_image, encode_png, storable_as_is
from ganforge.imaging.label_maps import decode_labels
from ganforge.imaging.resize import ImageForm

FLIPS = int(os.environ.get("GANFORGE_TEST_FLIPS", "100"))
LIMIT_SEC = 30
HEIGHT, WIDTH = 13, 17


def save(pixels, format_name, **options):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format_name, **options)
    return buffer.getvalue()


def npy(values):
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


def tiff_floats(values):
    tifffile = pytest.importorskip("tifffile")
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values, compression="zlib")
    return buffer.getvalue()


def turned():
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description"
    return exif


COLORS = np.add.outer(np.arange(HEIGHT * 9, step=9), np.arange(WIDTH * 3)).astype(np.uint8)
COLORS = COLORS.reshape(HEIGHT, WIDTH, 3)
GRAY = np.ascontiguousarray(COLORS[..., 0])
FILES = {
    "png": lambda: save(COLORS, "PNG", exif=turned()),
    "png-palette": lambda: save(GRAY, "PNG", bits=4),
    "png16": lambda: encode_png(COLORS.astype(np.uint16) * 257),
    "jpeg": lambda: save(COLORS, "JPEG", exif=turned()),
    "jpeg-progressive": lambda: save(COLORS, "JPEG", progressive=True, subsampling=2),
    "webp": lambda: save(COLORS, "WEBP"),
    "tiff": lambda: save(COLORS, "TIFF", compression="tiff_lzw"),
    "tiff-floats": lambda: tiff_floats(COLORS.astype(np.float32)),
    "bmp": lambda: save(COLORS, "BMP"),
    "gif": lambda: save(GRAY, "GIF"),
    "ppm": lambda: save(COLORS, "PPM"),
    "ppm16": lambda: b"P6 17 13 65535 " + (COLORS.astype(">u2") * 257).tobytes(),
    "npy": lambda: npy(COLORS),
    **({"avif": lambda: save(COLORS, "AVIF")} if HAS_AVIF else {}),
}


def damaged(whole, number, rng):
    """A cut, or a changed byte; every second one near the beginning."""
    if number % 8 == 0:
        return whole[: rng.randrange(len(whole))]
    place = rng.randrange(min(len(whole), 200) if number % 2 else len(whole))
    return whole[:place] + bytes([whole[place] ^ rng.randrange(1, 256)]) + whole[place + 1 :]


def outcome(data, encoder, pixels):
    """Of one damaged file: "pixels", "refused", or what went wrong."""
    readers = (decode_image, decode_labels, encoder.encode, lambda d: storable_as_is(d, pixels))
    found = "refused"
    for read in readers:
        try:
            read(data)
            found = "pixels"
        except Undecodable as err:
            if not str(err):
                return "no text"
        except Exception as err:  # noqa: BLE001  # whatever escapes is a finding
            return f"{type(err).__name__}: {err}"
    return found


def flip(kind, num_flips, seed, results):
    rng, whole = random.Random(f"{kind} {seed}"), FILES[kind]()
    value_range = (0.0, 255.0) if kind == "tiff-floats" else None
    schema = FieldSchema(kind="image", height=8, width=8, channels=3, value_range=value_range)
    encoder = PixelEncoder(schema, ImageForm(8, 8, 3, 8, "stretch", (0, 0, 0)))
    pixels = decode_image(whole, value_range)
    for number in range(num_flips):
        data = damaged(whole, number, rng)
        results.put((outcome(data, encoder, pixels), number))


@pytest.mark.parametrize("kind", FILES)
def test_damaged_image_gives_pixels_or_is_refused(kind):
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    child = context.Process(target=flip, args=(kind, FLIPS, 0, results))
    child.start()
    results._writer.close()  # so that the end of the child is the end of the results
    found = []
    while results._reader.poll(LIMIT_SEC):
        try:
            found.append(results.get())
        except EOFError:
            break
    child.kill()
    child.join()
    assert [each for each in found if each[0] not in ("pixels", "refused")] == []
    assert len(found) == FLIPS, f"the decoder hung or crashed at number {len(found)}"
