"""Where writing is forbidden, one message says so and nothing is left behind."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# Root may write anywhere, so as root the commands run without the capability that allows it.
WITHOUT_OVERRIDE = (
    [shutil.which("setpriv") or "setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    if os.geteuid() == 0
    else []
)
PIPELINE = """
name: locked-out
stages: [prepare, train]
data: {source: fashion_mnist, resolution: 32, channels: 1, resize: pad}
model: {architecture: dcgan, base_channels: 4}
loss: nonsaturating
train: {total_kimg: 1, batch_size: 8, slots: 1}
"""


@pytest.fixture
def locked(tmp_path):
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    return folder


@pytest.fixture
def ganforge(tmp_path):
    """Run the command line as a user who may not write in a locked folder."""

    def _ganforge(*arguments):
        command = [*WITHOUT_OVERRIDE, sys.executable, "-m", "ganforge", *map(str, arguments)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    return _ganforge


def assert_refused(result, locked):
    assert result.returncode == 2, result.stderr
    assert "ermi" in result.stderr and str(locked) in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr
    assert list(locked.iterdir()) == []


def test_plugins_new_where_writing_is_forbidden_is_one_message(ganforge, locked):
    assert_refused(ganforge("plugins", "new", "mine", "--out", locked), locked)


def test_data_prepare_where_writing_is_forbidden_is_one_message(ganforge, locked):
    source = ("fashion_mnist", locked / "shards", "resolution=32", "resize=pad")

    assert_refused(ganforge("data", "prepare", *source), locked)


def test_run_where_writing_is_forbidden_is_one_message(ganforge, locked, tmp_path):
    Path(tmp_path, "p.yaml").write_text(PIPELINE)

    assert_refused(ganforge("run", "p.yaml", f"run_dir={locked / 'run'}"), locked)
