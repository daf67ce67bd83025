import json
import shutil

import numpy as np
import pytest
from cli.conftest import export
from ganforge_translation.cyclegan import Cyclegan
from PIL import Image

from ganforge.cli import main
from ganforge.imaging.codec import decode_image, encode_png
from ganforge.interfaces.spec import DerivedSource, ImageSpec


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


def translated(ganforge, *arguments, **given):
    return json.loads(ganforge("translate", *arguments, "--json", **given).stdout)


@pytest.fixture
def listed(monkeypatch):
    """Give text on standard input."""
    original = main.main

    def give(text):
        import io
        import sys

        def with_input(*args, **kwargs):
            sys.stdin = io.TextIOWrapper(io.BytesIO(text.encode()))
            return original(*args, **kwargs)

        monkeypatch.setattr(main, "main", with_input)

    return give


def test_translate_of_a_folder_keeps_its_structure_and_all_sizes(ganforge, cyclegan, photos):
    files = translated(ganforge, cyclegan, photos)
    assert len(files) == 12
    paths = {file["source"]: file["path"] for file in files}
    assert paths[str(photos / "cat" / "3.png")] == "translated/cat/3.png"
    assert pixels("translated/cat/3.png").shape == (20, 24, 3)


def test_translate_keeps_a_photo_of_any_size_upright(ganforge, cyclegan, tmp_path):
    photo = Image.effect_noise((150, 90), 50).convert("RGB")
    exif = photo.getexif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    photo.save(tmp_path / "photo.jpg", exif=exif)
    ganforge("translate", cyclegan, "photo.jpg", "--out", "out")
    assert pixels("out/photo.png").shape == (150, 90, 3)


def test_translate_size_and_resize_reach_the_model(ganforge, cyclegan, photos):
    image = photos / "cat" / "3.png"
    for size, shape in (("model", (16, 16)), ("30", (30, 30)), ("8x12", (8, 12))):
        ganforge("translate", cyclegan, image, "--size", size, "--resize", "pad", "--out", size)
        assert pixels(f"{size}/3.png").shape == (*shape, 3)
    error = ganforge("translate", cyclegan, image, "--resize", "pad", code=2).stderr
    assert "changes nothing with size='keep'. Pass a size too" in error


def test_translate_paths_on_standard_input(ganforge, cyclegan, photos, listed):
    listed(f"{photos}/cat/3.png\n{photos}/dog/2.png\n")
    files = translated(ganforge, cyclegan, "-")
    assert [file["path"] for file in files] == ["translated/cat/3.png", "translated/dog/2.png"]
    listed(f"{photos}/cat/3.png\0")
    assert len(translated(ganforge, cyclegan, "-", "-0")) == 1


def test_translate_16_bits_keeps_the_depth(ganforge, cyclegan, tmp_path):
    values = np.random.default_rng(0).integers(0, 65536, (8, 12, 3)).astype(np.uint16)
    (tmp_path / "deep.png").write_bytes(encode_png(values))
    ganforge("translate", cyclegan, "deep.png", "--bit-depth", "16")
    ganforge("translate", cyclegan, "deep.png", "--out", "bytes")
    deep, rough = decode_image(tmp_path / "translated/deep.png"), pixels("bytes/deep.png")
    assert (deep.dtype, rough.dtype) == (np.uint16, np.uint8)
    assert len(np.unique(deep)) > len(np.unique(rough))
    np.testing.assert_allclose(deep / 257, rough, atol=0.51)


def test_translate_reads_all_16_bits(ganforge, cyclegan, tmp_path, requests_of):
    requests = requests_of(Cyclegan)
    values = np.arange(96, dtype=np.uint16).reshape(8, 12)
    Image.fromarray(values).save(tmp_path / "deep.tiff")
    ganforge("translate", cyclegan, "deep.tiff")
    assert len(requests[0].source.unique()) == 96


def test_translate_many_files_holds_a_batch_at_a_time(ganforge, cyclegan, photos, requests_of):
    requests = requests_of(Cyclegan)
    ganforge("translate", cyclegan, photos, "--batch-size", 5)
    assert [request.size for request in requests] == [5, 5, 2]


def test_translate_directions_differ(ganforge, cyclegan, photos):
    image = photos / "cat" / "3.png"
    ganforge("translate", cyclegan, image, "--out", "forth")
    ganforge("translate", cyclegan, image, "--out", "back", "--direction", "target_to_source")
    assert not np.array_equal(pixels("forth/3.png"), pixels("back/3.png"))


def test_translate_refuses_what_it_cannot_do(ganforge, cyclegan, dcgan, photos, tmp_path):
    image = photos / "cat" / "3.png"
    (tmp_path / "empty").mkdir()

    def error(*arguments):
        return ganforge("translate", *arguments, code=2).stderr

    assert "no direction 'up'" in error(cyclegan, image, "--direction", "up")
    assert "translates none" in error(dcgan, image)
    assert "INPUTS='empty' holds no images" in error(cyclegan, "empty")
    assert "use --direction." in error(cyclegan, image, "-o", "direction=x")
    assert "use --size." in error(cyclegan, image, "-o", "size=4")
    assert "does not exist" in error(cyclegan, "nothing.png")


@pytest.fixture
def spoilt(photos, tmp_path):
    """Two photos, one file that is no image and one that is cut short."""
    for name in ("1.png", "3.png"):
        (tmp_path / "in").mkdir(exist_ok=True)
        shutil.copy(photos / "cat" / name, tmp_path / "in")
    (tmp_path / "in" / "2.png").write_text("no image")
    return tmp_path / "in"


def test_translate_names_every_bad_file_before_it_writes(ganforge, cyclegan, spoilt, tmp_path):
    (spoilt / "4.jpg").write_bytes(b"\xff\xd8")
    found = ganforge("translate", cyclegan, spoilt, code=2).stderr
    assert "2 of 4 files cannot be read, so nothing was translated" in found
    assert "2.png cannot be decoded" in found and "4.jpg cannot be decoded" in found
    assert "--skip-bad" in found
    assert not (tmp_path / "translated").exists()


def test_translate_skip_bad_writes_the_others_and_exits_with_1(ganforge, cyclegan, spoilt):
    (spoilt / "1.png").write_bytes((spoilt / "3.png").read_bytes()[:-400])
    result = ganforge("translate", cyclegan, spoilt, "--skip-bad", code=1)
    assert "Wrote 1 image to translated." in result.stdout
    assert "1.png cannot be decoded" in result.stderr and "2.png cannot" in result.stderr
    assert "Skipped 2 files that cannot be read" in result.stderr


def test_translate_file_cut_short_says_what_was_written(ganforge, cyclegan, spoilt, tmp_path):
    (spoilt / "2.png").unlink()
    with Image.open(spoilt / "3.png") as image:
        image.save(spoilt / "3.jpg")
    (spoilt / "3.png").unlink()
    (spoilt / "3.jpg").write_bytes((spoilt / "3.jpg").read_bytes()[:-60])
    found = ganforge("translate", cyclegan, spoilt, "--batch-size", 1, code=2).stderr
    assert "3.jpg cannot be decoded" in found and "1 image was written before it" in found
    assert (tmp_path / "translated" / "1.png").exists()


def test_translate_skipped_files_do_not_change_the_seeds_of_others(
    ganforge, cyclegan, spoilt, requests_of
):
    requests = requests_of(Cyclegan)
    ganforge("translate", cyclegan, spoilt, "--skip-bad", "--seed", 7, code=1)
    assert [seed for request in requests for seed in request.seeds] == [7, 9]


def test_translate_does_not_overwrite_what_it_reads(ganforge, cyclegan, photos):
    before = (photos / "cat" / "3.png").read_bytes()
    found = ganforge("translate", cyclegan, photos / "cat", "--out", photos / "cat", code=2)
    assert "would overwrite" in found.stderr and "Give --out another folder" in found.stderr
    assert (photos / "cat" / "3.png").read_bytes() == before


def test_translate_makes_derived_sources_or_takes_them_as_they_are(ganforge, tmp_path, photos):
    derived = DerivedSource("low_resolution", {"factor": 2})
    spec = ImageSpec(16, 16, 3, source_channels=3, derived=derived)
    model = export(tmp_path, "cyclegan", spec)
    image = photos / "cat" / "3.png"
    ganforge("translate", model, image, "--out", "derived")
    ganforge("translate", model, image, "--no-derive", "--out", "plain")
    assert pixels("derived/3.png").shape == (40, 48, 3)
    assert pixels("plain/3.png").shape == (20, 24, 3)
