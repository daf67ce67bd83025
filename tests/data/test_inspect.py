import io
import json
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganforge.config.models import DataConfig
from ganforge.data.inspect import inspect
from ganforge.data.shards.index import load_index
from ganforge.errors import DataError


def paint(path, size=(4, 4), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size).save(path)


def test_inspect_of_shards_counts_everything(dataset, tmp_path):
    report = inspect(dataset, contact_sheet=tmp_path / "deep" / "sheet.png")
    assert report.num_samples == {"main": 20}
    assert report.sizes == {"8 x 8 x 3, 8 bits": 20}
    assert report.class_counts == {f"class{n}": 5 for n in range(4)}
    assert report.label_entropy == pytest.approx(1.0)
    assert report.warnings == report.bad == []
    assert report.digest == load_index(dataset).digest
    with Image.open(tmp_path / "deep" / "sheet.png") as sheet:
        assert sheet.size == (512, 192)
    assert json.loads(json.dumps(report.to_dict()))["num_samples"] == {"main": 20}


def test_inspect_of_shards_lists_damaged_samples(dataset):
    path = Path(dataset) / "main-000001.tar"
    data = bytearray(path.read_bytes())
    begin = data.index(b"00010.image.png") + 512 + 40
    data[begin : begin + 4] = b"\xff" * 4
    path.write_bytes(data)
    report = inspect(dataset)
    assert report.num_samples == {"main": 19}
    assert report.num_bad == 1
    assert "'00010'" in report.bad[0]
    assert "1 samples cannot be read" in report.warnings[0]


def test_inspect_of_a_raw_folder_reports_sizes_and_damage(tmp_path):
    paint(tmp_path / "in" / "1.png")
    paint(tmp_path / "in" / "2.png", (5, 4), "L")
    paint(tmp_path / "in" / "3.png", mode="RGBA")
    (tmp_path / "in" / "4.jpg").write_bytes(b"\xff\xd8broken")
    report = inspect(str(tmp_path / "in"), contact_sheet=tmp_path / "sheet.png")
    assert report.sizes == {
        "4 x 4 x 3, 8 bits": 1,
        "4 x 5 x 1, 8 bits": 1,
        "4 x 4 x 4, 8 bits": 1,
    }
    assert report.num_bad == 1
    assert "4.jpg" in report.bad[0]
    assert any("3 different sizes" in w and "data.resolution" in w for w in report.warnings)
    assert report.label_entropy is None
    assert (tmp_path / "sheet.png").exists()


def test_inspect_warns_when_labels_say_nothing(tmp_path):
    for number in range(99):
        paint(tmp_path / "in" / "a" / f"{number}.png")
    paint(tmp_path / "in" / "b" / "0.png")
    report = inspect(str(tmp_path / "in"))
    assert report.class_counts == {"a": 99, "b": 1}
    expected = -(0.99 * np.log(0.99) + 0.01 * np.log(0.01)) / np.log(2)
    assert report.label_entropy == pytest.approx(expected)
    assert "The labels say little: their entropy is 0.08" in report.warnings[0]


def test_inspect_warns_of_empty_classes_and_labels_without_name(dataset, helpers):
    spec = load_index(dataset).spec | {"class_names": ["a", "b", "c", "d", "e"]}
    helpers.rewrite_index(dataset, spec=spec)
    assert any(
        "1 classes have no samples; the first is 'e'" in w for w in inspect(dataset).warnings
    )
    helpers.rewrite_index(dataset, spec=spec | {"class_names": ["a", "b"]})
    report = inspect(dataset)
    assert any("The label 2 has no class name" in w for w in report.warnings)
    assert report.label_entropy == pytest.approx(1.0)


def test_inspect_of_a_source_by_its_configuration_and_limit(tmp_path):
    for number in range(5):
        paint(tmp_path / "x" / f"{number}.png")
        paint(tmp_path / "y" / f"{number}.png")
    source = {"name": "unpaired", "source": str(tmp_path / "x"), "target": str(tmp_path / "y")}
    report = inspect(DataConfig(source=source), max_samples=3)
    assert report.num_samples == {"source": 3, "target": 3}


def test_inspect_of_shards_with_a_limit_stops_there(dataset):
    assert inspect(dataset, max_samples=9).num_samples == {"main": 9}


def test_inspect_guesses_zip_and_manifest(tmp_path, helpers):
    data = helpers.file_bytes(np.zeros((4, 4, 3), np.uint8))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("1.png", data)
    (tmp_path / "1.png").write_bytes(data)
    (tmp_path / "m.csv").write_text("image\n1.png\n")
    for name in ("a.zip", "m.csv"):
        assert inspect(str(tmp_path / name)).num_samples == {"main": 1}


def test_inspect_shows_no_token_of_a_command(tmp_path, helpers):
    data = helpers.file_bytes(np.zeros((4, 4, 3), np.uint8))
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        info = tarfile.TarInfo("1.png")
        info.size = len(data) - 30
        tar.addfile(info, io.BytesIO(data))
    token = "hf_" + "a" * 34
    command = f"pipe:cat {tmp_path / 'a.tar'} # Authorization: Bearer {token}"
    report = inspect(command)
    assert report.num_bad == 1
    assert token not in json.dumps(report.to_dict())


def test_inspect_takes_a_tar_from_a_pipe_as_prepare_does(tmp_path, helpers):
    data = helpers.file_bytes(np.zeros((4, 4, 3), np.uint8))
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name in ("1.png", "2.png"):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    report = inspect(f"pipe:cat {tmp_path / 'a.tar'}")
    assert report.num_samples == {"main": 2}


@pytest.mark.parametrize(
    ("location", "is_tar"),
    [
        ("http://localhost:9/a-{000..009}.tar", True),
        ("http://localhost:9/a.tar.gz?download=true", True),
        ("http://localhost:9/shards", False),
        ("pipe:cat {}", False),
    ],
)
def test_inspect_tells_tars_from_shards_by_the_address(monkeypatch, location, is_tar):
    def read(place):
        raise DataError(f"index of {place}")

    monkeypatch.setattr("ganforge.data.inspect.load_index", read)
    monkeypatch.setattr("ganforge.data.inspect.build_source", lambda config: read("a source"))
    with pytest.raises(DataError, match="index of a source" if is_tar else "index of (http|pipe)"):
        inspect(location)


def test_inspect_of_16_bit_shards_and_frames(tmp_path):
    from ganforge.data.prepare.source_to_shards import prepare

    pixels = np.arange(64, dtype=np.uint16).reshape(8, 8) * 900
    for number in range(4):
        path = tmp_path / "in" / "clip" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    source = {"name": "frames", "path": str(tmp_path / "in")}
    prepare(DataConfig(source=source), tmp_path / "out", workers=0, progress=False)
    report = inspect(str(tmp_path / "out"), contact_sheet=tmp_path / "sheet.png")
    assert report.sizes == {"8 x 8 x 1, 16 bits": 4}
    assert np.asarray(Image.open(tmp_path / "sheet.png")).max() == 255


def test_inspect_of_nothing_says_what_to_give(tmp_path):
    with pytest.raises(DataError, match="nowhere. is not a folder of images"):
        inspect(str(tmp_path / "nowhere"))


def test_inspect_with_an_unwritable_sheet_says_so(dataset, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="contact sheet cannot be written to .*Choose another"):
        inspect(dataset, contact_sheet=tmp_path / "file" / "sheet.png")


def test_inspect_of_only_damaged_images_says_no_sample_can_be_read(tmp_path):
    (tmp_path / "1.png").write_bytes(b"x")
    assert inspect(str(tmp_path)).warnings[0] == "No sample can be read."


def test_inspect_counts_copies_and_transparent_images(tmp_path):
    for number, alpha in enumerate((255, 0, 0, 128)):
        pixels = np.zeros((4, 4, 4), np.uint8)
        pixels[..., :3], pixels[..., 3], pixels[0, :, 3] = 200, alpha, 255
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")

    report = inspect(str(tmp_path))

    assert report.num_duplicates == 1
    assert report.num_transparent == 3
    assert report.brightness == pytest.approx(200)


def test_inspect_spread_takes_samples_from_the_whole_source(tmp_path):
    for number in range(8):
        paint(tmp_path / f"{number}.png", (4 + number, 4))

    found = inspect(str(tmp_path), max_samples=4, spread=True)

    assert sorted(form.width for form in found.forms) == [4, 6, 8, 10]
    assert sorted(form.width for form in inspect(str(tmp_path), max_samples=4).forms) == [
        4, 5, 6, 7,
    ]  # fmt: skip


def test_inspect_counts_images_whose_further_frames_are_not_used(tmp_path):
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
    paint(tmp_path / "1.png")
    frames[0].save(tmp_path / "2.gif", save_all=True, append_images=frames[1:])
    (entry,) = inspect(str(tmp_path)).left_out
    assert (entry.count, entry.example) == (1, "2,gif")
    assert "further frames or pages, of which the first is used" in str(entry)
