import numpy as np
import pytest
from PIL import Image

from ganforge.imaging.codec import decode_image
from ganforge.imaging.save import write_pixels, write_png


def test_write_png_creates_its_folder(tmp_path):
    path = tmp_path / "out" / "seed7.png"
    write_png(path, Image.new("L", (2, 2), 20))
    assert Image.open(path).getpixel((0, 0)) == 20


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_write_pixels_keeps_every_bit(tmp_path, dtype, channels):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, np.iinfo(dtype).max + 1, (5, 7, channels)).astype(dtype)
    write_pixels(tmp_path / "new" / "image.png", pixels)
    found = decode_image(tmp_path / "new" / "image.png")
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, pixels)
