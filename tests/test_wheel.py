"""The built wheel works outside the checkout: pipelines, sample data and templates ship in it."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out)]
    done = subprocess.run([*command, str(ROOT)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = out.glob("*.whl")
    return path


def test_wheel_holds_code_pipelines_data_and_licenses(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for wanted in (
        "ganforge/pipelines/quickstart.yaml",
        "ganforge/hub/model_card.md.jinja",
        *(f"ganforge/report/page.{kind}" for kind in ("html.jinja", "css", "js")),
        "ganforge/py.typed",
        "ganforge_dcgan/__init__.py",
        "ganforge_fashion_mnist/data/t10k-images-idx3-ubyte.gz",
    ):
        assert wanted in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert any("fashion_mnist" in name and "LICENSE" in name.upper() for name in names)
    assert not [name for name in names if name.startswith(("tests", "plugins", "pipelines"))]
    assert wheel.stat().st_size < 8 * 2**20


def test_wheel_runs_the_quickstart_outside_the_checkout(wheel, tmp_path):
    target = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(target)]
    subprocess.run([*install, str(wheel)], check=True, capture_output=True)
    environment = {**os.environ, "PYTHONPATH": str(target), "GANFORGE_NUM_THREADS": "1"}
    where = "import ganforge, ganforge_dcgan; print(ganforge.__file__, ganforge_dcgan.__file__)"
    told = subprocess.run(
        [sys.executable, "-c", where], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert told.stdout.count(str(target)) == 2, told
    settings = ["train.total_kimg=0.128", "stages=[prepare,train,publish]", "data.workers=0"]
    done = subprocess.run(
        [sys.executable, "-m", "ganforge", "run", "quickstart", *settings],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "runs" / "quickstart" / "export" / "model.safetensors").exists()
    # The log is on standard error; what is to be copied stands in whole lines on standard output.
    assert done.stdout.splitlines()[0] == "All in runs/quickstart:"
    nearest = [line for line in done.stdout.splitlines() if "ganforge sample nearest" in line]
    assert nearest[0].endswith("--out runs/quickstart/nearest.png")
