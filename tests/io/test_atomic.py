import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

from ganforge.errors import DataError, explain
from ganforge.imaging.animation import write_animation
from ganforge.imaging.save import write_png
from ganforge.io.atomic import atomic_file, atomic_folder, naming, write_text
from ganforge.plugin_tools.scaffold import new_plugin
from ganforge.registry.plugins import get_registry
from ganforge.training.tasks.json_lines import JsonLines


def noise(size=100):
    pixels = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def save_folder(folder):
    with atomic_folder(folder / "new", replace=True) as partial:
        safetensors.torch.save_file({"w": torch.zeros(20_000)}, partial / "w.safetensors")


def save_tensors(folder):
    with atomic_file(folder / "w.safetensors") as temporary:
        safetensors.torch.save_file({"w": torch.zeros(20_000)}, temporary)


WRITERS = {
    "text": lambda folder: write_text(folder / "a.txt", "x" * 20_000),
    "png": lambda folder: write_png(folder / "a.png", noise()),
    "gif": lambda folder: write_animation([noise()] * 2, folder / "a.gif", fps=10),
    "mp4": lambda folder: write_animation([noise()] * 8, folder / "a.mp4", fps=10),
    "safetensors": save_tensors,
    "folder": save_folder,
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


def test_naming_leaves_errors_of_ganforge_alone():
    with pytest.raises(DataError, match="os error 28"), naming(Path("x")):
        raise DataError("full (os error 28)")


def test_naming_leaves_other_errors_and_other_names_alone():
    with pytest.raises(ValueError, match="a bug"), naming(Path("x")):
        raise ValueError("a bug")
    with pytest.raises(OSError) as caught, naming(Path("x")):
        raise FileNotFoundError(2, "gone", "other")
    assert caught.value.filename == "other"


def test_atomic_file_is_readable_like_any_other(tmp_path):
    write_text(tmp_path / "a.txt", "x")
    (tmp_path / "b.txt").write_text("x")
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a.txt", "b.txt")]
    assert modes[0] == modes[1]


def test_atomic_file_writes_through_links_and_devices(tmp_path):
    (tmp_path / "link.txt").symlink_to(tmp_path / "target.txt")
    write_text(tmp_path / "link.txt", "x")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "target.txt").read_text() == "x"
    write_text(Path("/dev/null"), "x")
    assert Path("/dev/null").is_char_device()


def test_atomic_file_that_fails_keeps_the_earlier_content_and_leaves_nothing(tmp_path):
    write_text(tmp_path / "a.txt", "before")
    with pytest.raises(ValueError, match="a bug"), atomic_file(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        raise ValueError("a bug")
    assert (tmp_path / "a.txt").read_text() == "before"
    assert os.listdir(tmp_path) == ["a.txt"]


def write_folder(folder, text, **options):
    with atomic_folder(folder, **options) as partial:
        (partial / "a.txt").write_text(text)


def test_atomic_folder_appears_when_the_block_ends(tmp_path):
    with atomic_folder(tmp_path / "new" / "out", replace=False) as partial:
        (partial / "a.txt").write_text("x")
        assert not (tmp_path / "new" / "out").exists()
    assert (tmp_path / "new" / "out" / "a.txt").read_text() == "x"
    assert os.listdir(tmp_path / "new") == ["out"]


@pytest.mark.parametrize("replace", [False, True])
def test_atomic_folder_replaces_only_when_it_may(tmp_path, replace):
    write_folder(tmp_path / "out", "old", replace=False)
    if replace:
        write_folder(tmp_path / "out", "new", replace=True)
    else:
        with pytest.raises(OSError, match="not empty.*out"):
            write_folder(tmp_path / "out", "new", replace=False)
    assert (tmp_path / "out" / "a.txt").read_text() == ("new" if replace else "old")
    assert os.listdir(tmp_path) == ["out"]


def test_atomic_folder_that_fails_keeps_the_earlier_folder(tmp_path, monkeypatch):
    write_folder(tmp_path / "out", "old", replace=False)
    rename = Path.rename

    def fail(path, target):
        if ".partial-" in path.name:
            raise OSError("no room")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="no room"):
        write_folder(tmp_path / "out", "new", replace=True)
    assert (tmp_path / "out" / "a.txt").read_text() == "old"
    assert os.listdir(tmp_path) == ["out"]


def test_atomic_folder_whose_check_fails_keeps_the_earlier_folder(tmp_path):
    write_folder(tmp_path / "out", "old", replace=False)

    def check():
        raise DataError("keep it")

    with pytest.raises(DataError, match="keep it"):
        write_folder(tmp_path / "out", "new", replace=True, check=check)
    assert (tmp_path / "out" / "a.txt").read_text() == "old"
    assert os.listdir(tmp_path) == ["out"]


def test_atomic_folder_is_flushed_before_it_is_renamed(tmp_path, monkeypatch):
    done = []
    fsync, rename = os.fsync, Path.rename

    def flush(descriptor):
        done.append(os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", flush)
    monkeypatch.setattr(Path, "rename", lambda *a: (done.append("rename"), rename(*a)))
    write_folder(tmp_path / "out", "x", replace=True)
    assert done[0] == "a.txt"
    assert done[1].startswith(".out.partial-")
    assert done[-1] == tmp_path.name
    assert "rename" in done[2:-1]


def test_atomic_folder_behind_a_link_is_replaced_and_the_link_stays(tmp_path):
    write_folder(tmp_path / "real", "old", replace=False)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_folder(tmp_path / "link", "new", replace=True)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "a.txt").read_text() == "new"


def test_atomic_folder_removes_what_killed_writers_left(tmp_path, caplog):
    for name in (".out.partial-0123abcd", ".out.partial-x", ".out.old-0123abcd", ".output"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    write_folder(tmp_path / "out", "x", replace=True)
    # The only copy of what was about to be replaced is kept until there is a new one.
    kept = [".out.old-0123abcd", ".out.partial-x", ".output", "out"]
    assert sorted(os.listdir(tmp_path)) == kept
    assert ".out.old-0123abcd is being written by another process" in caplog.text
    write_folder(tmp_path / "out", "x", replace=True)
    assert sorted(os.listdir(tmp_path)) == kept[1:]


def test_atomic_folders_of_two_writers_do_not_disturb_each_other(tmp_path, caplog):
    with atomic_folder(tmp_path / "out", replace=True) as partial:
        (partial / "a.txt").write_text("later")
        write_folder(tmp_path / "out", "first", replace=True)
        assert (tmp_path / "out" / "a.txt").read_text() == "first"
    assert (tmp_path / "out" / "a.txt").read_text() == "later"
    assert "is being written by another process" in caplog.text
    assert os.listdir(tmp_path) == ["out"]


KILLED = """
import os, signal, sys
from pathlib import Path
from ganforge.io.atomic import atomic_folder

with atomic_folder(Path(sys.argv[1]), replace=True) as partial:
    (partial / "a.txt").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_atomic_folder_of_a_killed_process_keeps_the_earlier_and_is_cleaned_up(tmp_path):
    write_folder(tmp_path / "out", "old", replace=True)
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "out")], check=False)
    assert len(os.listdir(tmp_path)) == 2
    assert (tmp_path / "out" / "a.txt").read_text() == "old"
    write_folder(tmp_path / "out", "new", replace=True)
    assert os.listdir(tmp_path) == ["out"]


def test_atomic_file_of_the_longest_name_is_written(tmp_path):
    path = tmp_path / ("x" * 251 + ".png")
    with atomic_file(path) as temporary:
        temporary.write_bytes(b"1")
    assert path.read_bytes() == b"1"
