import numpy as np
import pytest
from PIL import Image

from ganforge.pipeline import run as run_module
from ganforge.starters import measure as measure_module
from ganforge.starters.machine import Speed


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.setattr(measure_module, "measure", lambda path: Speed(50.0, 8.0))
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(40):
        pixels = np.random.default_rng(number).integers(0, 256, (20, 20, 3))
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png")
    return folder


def test_new_writes_the_file_and_says_how_to_run_it(ganforge, photos, tmp_path):
    out = tmp_path / "p.yaml"
    output = ganforge("new", photos, "--out", out, "--resolution", 16, "--minutes", 1).stdout

    assert output.splitlines()[0] == "40 images, 20x20."
    assert output.splitlines()[-1] == f"Next: ganforge run {out}"
    assert "resolution: 16" in out.read_text()


def test_new_with_run_starts_it(ganforge, photos, tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(run_module, "run_pipeline", started.append)
    out = tmp_path / "p.yaml"
    ganforge("new", photos, "--out", out, "--run")
    assert started == [str(out)]


def test_new_on_an_empty_folder_is_one_message(ganforge, tmp_path):
    (tmp_path / "empty").mkdir()
    result = ganforge("new", tmp_path / "empty", "--out", tmp_path / "p.yaml", code=2)
    assert result.stderr.startswith("Error: ")
    assert "holds no images" in result.stderr
    assert not (tmp_path / "p.yaml").exists()


def test_run_of_a_folder_points_to_new(ganforge, photos):
    assert f"ganforge new {photos}" in ganforge("run", photos, code=2).stderr
