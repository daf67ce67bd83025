"""Kernels in Inductor's cache that a killed compiler has not finished."""

import shutil
import subprocess

import pytest

from ganforge.io.locks import lock_path, unlock
from ganforge.training.unfinished_kernels import remove_unfinished_kernels


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    """A shared library in an own cache."""
    if shutil.which("cc") is None:
        pytest.skip("needs a C compiler")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    path = tmp_path / "ab" / "cabc.main.so"
    (tmp_path / "locks").mkdir()
    path.parent.mkdir()
    command = ["cc", "-shared", "-x", "c", "-o", str(path), "-"]
    subprocess.run(command, input="int f(void) { return 1; }", text=True, check=True)
    remove_unfinished_kernels.cache_clear()
    yield path
    remove_unfinished_kernels.cache_clear()


def test_whole_kernel_stays(kernel):
    remove_unfinished_kernels()
    assert kernel.exists()


@pytest.mark.parametrize("size", [0, 63, 64, 1000, -1])
@pytest.mark.parametrize("has_header", [True, False])
def test_kernel_that_is_cut_off_or_has_no_header_yet_is_removed(kernel, size, has_header):
    data = kernel.read_bytes()[:size]
    kernel.write_bytes(data if has_header else bytes(64) + data[64:])
    (kernel.parents[1] / "locks" / "cabc.lock").touch()
    remove_unfinished_kernels()
    assert not kernel.exists()


def test_kernel_that_another_process_builds_stays(kernel):
    kernel.write_bytes(b"")
    lock_file = kernel.parents[1] / "locks" / "cabc.lock"
    lock_file.touch()
    lock = lock_path(lock_file, wait=False)
    remove_unfinished_kernels()
    assert kernel.exists()
    unlock(lock)
    remove_unfinished_kernels.cache_clear()
    remove_unfinished_kernels()
    assert not kernel.exists()
