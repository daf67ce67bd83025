import os
import stat
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

from ganforge.errors import explain
from ganforge.imaging.animation import write_animation
from ganforge.imaging.save import write_png
from ganforge.io.atomic import naming, whole_file, write_text
from ganforge.plugin_tools.scaffold import new_plugin
from ganforge.registry.plugins import get_registry
from ganforge.training.tasks.logs import JsonLines


def noise(size=100):
    pixels = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def save_tensors(folder):
    with naming(folder / "w.safetensors"), whole_file(folder / "w.safetensors") as temporary:
        safetensors.torch.save_file({"w": torch.zeros(20_000)}, temporary)


WRITERS = {
    "text": lambda folder: write_text(folder / "a.txt", "x" * 20_000),
    "png": lambda folder: write_png(folder / "a.png", noise()),
    "gif": lambda folder: write_animation([noise()] * 2, folder / "a.gif", fps=10),
    "mp4": lambda folder: write_animation([noise()] * 8, folder / "a.mp4", fps=10),
    "safetensors": save_tensors,
    "plugin": lambda folder: new_plugin("foo", folder, get_registry()),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_full_disk_is_said_with_the_path_and_leaves_nothing(small_disk, writer):
    disk = small_disk("8k")
    with pytest.raises(OSError) as caught:
        WRITERS[writer](disk)
    assert str(disk) in explain(caught.value)
    assert "the disk is full. Make room" in explain(caught.value)
    assert os.listdir(disk) == []


def test_full_disk_keeps_the_records_that_were_written(small_disk):
    lines = JsonLines(small_disk("8k") / "log.jsonl")
    written = []
    with pytest.raises(OSError) as caught:
        for number in range(1000):
            lines.append({"nimg": number, "text": "x" * 100})
            written.append(number)
    assert "log.jsonl failed: the disk is full" in explain(caught.value)
    assert [record["nimg"] for record in lines.read()] == written


def test_full_disk_that_no_error_names_is_said_too():
    assert explain(OSError(28, "No space left on device")).startswith("Writing failed: the disk is")


def test_naming_leaves_other_errors_and_other_names_alone():
    with pytest.raises(ValueError, match="a bug"), naming(Path("x")):
        raise ValueError("a bug")
    with pytest.raises(OSError) as caught, naming(Path("x")):
        raise FileNotFoundError(2, "gone", "other")
    assert caught.value.filename == "other"


def test_whole_file_is_readable_like_any_other(tmp_path):
    write_text(tmp_path / "a.txt", "x")
    (tmp_path / "b.txt").write_text("x")
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a.txt", "b.txt")]
    assert modes[0] == modes[1]


def test_whole_file_writes_through_links_and_devices(tmp_path):
    (tmp_path / "link.txt").symlink_to(tmp_path / "target.txt")
    write_text(tmp_path / "link.txt", "x")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "target.txt").read_text() == "x"
    write_text(Path("/dev/null"), "x")
    assert Path("/dev/null").is_char_device()
