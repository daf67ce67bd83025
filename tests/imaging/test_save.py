from PIL import Image

from ganforge.imaging.save import write_png


def test_write_png_creates_its_folder(tmp_path):
    path = tmp_path / "out" / "seed7.png"
    write_png(path, Image.new("L", (2, 2), 20))
    assert Image.open(path).getpixel((0, 0)) == 20
