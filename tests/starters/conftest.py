import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def paint(tmp_path):
    """Writes `count` different images into a folder of `tmp_path`, and gives the folder."""

    def write(name, count=40, size=(72, 64), mode="RGB", first=0):
        folder = tmp_path / name
        folder.mkdir(parents=True, exist_ok=True)
        depth = len(Image.new(mode, (1, 1)).getbands())
        for number in range(first, first + count):
            pixels = np.random.default_rng(number).integers(0, 256, (*size[::-1], depth))
            img = Image.fromarray(pixels.astype(np.uint8).squeeze(), mode)
            img.save(folder / f"{number:03}.png")
        return folder

    return write
