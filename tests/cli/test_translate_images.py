"""Tiles, further fields, label maps and comparison sheets of `ganforge translate`."""

import numpy as np
import pytest
from cli.conftest import export
from ganforge_translation.cyclegan import Cyclegan
from ganforge_translation.pix2pix_hd import Pix2pixHd
from PIL import Image

from ganforge.cli import _translate_images
from ganforge.imaging.codec import encode_png
from ganforge.imaging.save import write_pixels
from ganforge.interfaces.spec import FieldSpec, ImageSpec


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.fixture(scope="module")
def labeled(tmp_path_factory):
    """pix2pixHD of label maps with 4 classes and maps of instances."""
    spec = ImageSpec(
        32,
        32,
        3,
        source_channels=4,
        source_kind="labels",
        fields={"instances": FieldSpec("labels", 0)},
    )
    return export(tmp_path_factory.mktemp("models"), "pix2pix_hd", spec)


@pytest.fixture
def maps(tmp_path):
    """Two label maps below `labels`, and their instances below `ids`."""
    random = np.random.default_rng(0)
    for folder, highest in (("labels", 4), ("ids", 9)):
        for name in ("a/1.png", "a/2.png"):
            (tmp_path / folder / "a").mkdir(parents=True, exist_ok=True)
            ids = random.integers(0, highest, (8, 9, 1)).astype(np.uint8).repeat(4, 0).repeat(4, 1)
            (tmp_path / folder / name).write_bytes(encode_png(ids))
    return tmp_path


def test_translate_in_tiles_of_a_batch_equals_the_option_in_python(ganforge, cyclegan, photos):
    image = photos / "cat" / "3.png"
    ganforge("translate", cyclegan, image, "--out", "whole")
    ganforge("translate", cyclegan, image, "--tile", 12, "--overlap", 4, "--out", "tiled")
    whole, tiled = pixels("whole/3.png"), pixels("tiled/3.png")
    assert tiled.shape == whole.shape and not np.array_equal(whole, tiled)


def test_translate_of_a_tile_that_cannot_be_writes_nothing(ganforge, cyclegan, photos, tmp_path):
    image = photos / "cat" / "3.png"
    found = ganforge("translate", cyclegan, image, "--tile", 13, code=2).stderr
    assert "tile=13 must be a multiple of 4" in found and "Use 12." in found
    assert not (tmp_path / "translated").exists()
    found = ganforge("translate", cyclegan, image, "--tile", 8).stderr
    assert "tile=8 is smaller than the" in found


def test_translate_compare_draws_a_sheet_with_targets(ganforge, cyclegan, photos, tmp_path):
    targets = tmp_path / "targets"
    for path in sorted((photos / "cat").glob("*.png"))[:3]:
        targets.mkdir(exist_ok=True)
        Image.new("RGB", (24, 20), "red").save(targets / path.with_suffix(".jpg").name)
    found = ganforge("translate", cyclegan, photos / "cat", "--compare", "sheet.png",
                     "--targets", "targets")  # fmt: skip
    assert "Wrote sheet.png." in found.stdout
    sheet = pixels("sheet.png").astype(int)
    is_red = (sheet[..., 0] > 240) & (sheet[..., 1:].max(-1) < 20)
    assert is_red.sum() == pytest.approx(3 * 24 * 20, rel=0.05)
    assert is_red.any(0).nonzero()[0].min() > sheet.shape[1] * 0.6, "targets are on the right"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--targets", "."], "--targets . is shown by --compare"),
        (["--compare", "sheet.txt"], "--compare sheet.txt is a PNG or JPEG"),
        (["--compare", "translated/3.png"], "is also an image to read or to write"),
        (["--field", "depth=."], "reads no field 'depth'"),
        (["--field", "depth"], "--field 'depth' is not NAME=FOLDER"),
        (["--field", "depth=nowhere"], "there is no folder nowhere"),
    ],
)
def test_translate_options_without_a_meaning_are_refused(
    ganforge, cyclegan, photos, tmp_path, arguments, message
):
    found = ganforge("translate", cyclegan, photos / "cat" / "3.png", *arguments, code=2).stderr
    assert message in found
    assert not (tmp_path / "translated").exists()


def test_translate_label_maps_with_their_instances(ganforge, labeled, maps, requests_of):
    requests = requests_of(Pix2pixHd)
    ganforge("translate", labeled, "labels", "--field", "instances=ids")
    source, ids = requests[0].source, requests[0].fields["instances"]
    assert source.shape[:2] == (2, 4) and ids.shape[:2] == (2, 1)
    inside = ids[1, 0, :32, :36] if ids.shape[2] == 32 else ids[1, 0, 2:-2, 2:-2]
    assert set(pixels("ids/a/2.png").flat) == set(inside.unique().tolist())
    assert pixels("translated/a/1.png").shape == (32, 36, 3)


def test_translate_without_the_file_of_a_field_names_what_is_missing(ganforge, labeled, maps):
    (maps / "ids/a/2.png").unlink()
    found = ganforge("translate", labeled, "labels", "--field", "instances=ids", code=2).stderr
    assert "--field instances=ids: 1 of 2 images have no file" in found and "a/2.png" in found
    assert not (maps / "translated").exists()


def test_translate_names_every_bad_label_map_before_it_writes(ganforge, labeled, maps):
    (maps / "labels/a/3.jpg").write_bytes(b"\xff\xd8")
    Image.new("RGB", (32, 32), "red").save(maps / "labels/a/4.png")
    found = ganforge("translate", labeled, "labels", "--field", "instances=ids", code=2).stderr
    assert "2 of 4 files cannot be read, so nothing was translated" in found
    assert "3.jpg is a JPEG" in found and "4.png is an image of mode RGB" in found
    assert not (maps / "translated").exists()


def test_translate_of_a_bad_field_file_names_it(ganforge, labeled, maps):
    (maps / "ids/a/2.png").write_bytes(b"no image")
    run = ("translate", labeled, "labels", "--field", "instances=ids")
    found = ganforge(*run, code=2).stderr
    assert "ids/a/2.png cannot be decoded" in found
    assert "1 image." in ganforge(*run, "--skip-bad", code=1).stdout.replace(" to translated", "")


def test_translate_reads_the_next_batch_while_one_is_translated(
    ganforge, cyclegan, photos, monkeypatch
):
    events = []
    generate, read = Cyclegan.generate, _translate_images._Images._start

    def translating(self, nets, request):
        events.append("translate")
        return generate(self, nets, request)

    def starting(self, batch):
        events.append("read")
        return read(self, batch)

    monkeypatch.setattr(Cyclegan, "generate", translating)
    monkeypatch.setattr(_translate_images._Images, "_start", starting)
    ganforge("translate", cyclegan, photos, "--batch-size", 4)
    assert events == ["read", "read", "translate", "read", "translate", "translate"]


def test_translate_of_a_full_disk_says_so_and_keeps_whole_files(
    ganforge, cyclegan, photos, monkeypatch, tmp_path
):
    def write(path, values):
        if path.name == "3.png":
            raise OSError(28, "No space left on device", str(path))
        write_pixels(path, values)

    monkeypatch.setattr(_translate_images, "write_pixels", write)
    found = ganforge("translate", cyclegan, photos / "cat", "--batch-size", 2, code=2).stderr
    assert "the disk is full" in found
    assert not (tmp_path / "translated/3.png").exists()
    assert pixels("translated/1.png").shape == (20, 24, 3)


def test_translate_help_names_the_options(ganforge):
    text = ganforge("translate", "--help").stdout
    for option in ("--tile", "--overlap", "--field", "--compare", "--targets"):
        assert option in text
