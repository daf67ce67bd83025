from PIL import Image

from ganforge.imaging.save import save_images


def test_save_images_writes_numbered_files(tmp_path):
    images = [Image.new("L", (2, 2), v) for v in (10, 20)]
    paths = save_images(images, tmp_path / "out")
    assert [p.name for p in paths] == ["000000.png", "000001.png"]
    assert Image.open(paths[1]).getpixel((0, 0)) == 20
    (named,) = save_images(images[:1], tmp_path / "out", ["seed7"])
    assert named.name == "seed7.png"
