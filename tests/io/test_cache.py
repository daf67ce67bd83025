import os
from pathlib import Path

import pytest

from ganforge.io import cache
from ganforge.io.cache import default_cache_dir, is_network_folder, node_cache_dir


def test_default_cache_follows_the_desktop_standard(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert default_cache_dir() == Path("/somewhere/ganforge")


def test_default_cache_without_the_variable_lies_in_the_home(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert default_cache_dir() == Path.home() / ".cache/ganforge"


@pytest.fixture
def mounted(tmp_path, monkeypatch):
    """Makes the home a mount of some kind; the temporary folder is local."""

    def mount(kind):
        mounts = tmp_path / "mounts"
        home = str(tmp_path / "my home")
        escaped = home.replace(" ", r"\040")
        mounts.write_text(f"/dev/sda1 / ext4 rw 0 0\nserver:/x {escaped} {kind} rw 0 0\n")
        monkeypatch.setattr(cache, "_MOUNTS", mounts)
        monkeypatch.setenv("XDG_CACHE_HOME", f"{home}/.cache")
        monkeypatch.delenv("SLURM_TMPDIR", raising=False)
        monkeypatch.setattr("tempfile.gettempdir", lambda: "/local")

    return mount


@pytest.mark.parametrize("kind", ["nfs4", "lustre", "beegfs"])
def test_node_cache_avoids_a_home_on_a_network_file_system(mounted, kind):
    mounted(kind)
    assert node_cache_dir() == Path(f"/local/ganforge-{os.getuid()}")


def test_node_cache_stays_in_a_home_on_a_local_disk(mounted):
    mounted("xfs")
    assert node_cache_dir() == default_cache_dir()


def test_node_cache_prefers_the_local_disk_that_slurm_names(mounted, monkeypatch):
    mounted("nfs")
    monkeypatch.setenv("SLURM_TMPDIR", "/scratch/7")
    assert node_cache_dir() == Path("/scratch/7/ganforge")


def test_network_folder_without_a_list_of_mounts_counts_as_local(monkeypatch, tmp_path):
    monkeypatch.setattr(cache, "_MOUNTS", tmp_path / "none")
    assert not is_network_folder(tmp_path)
