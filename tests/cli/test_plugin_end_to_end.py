"""The life of a third-party plugin: written, installed, checked, trained, published, loaded."""

import json
import os
import subprocess
import sys

import pytest

from ganforge.errors import PluginConflict, PluginError
from ganforge.plugin_tools.scaffold import new_plugin
from ganforge.registry.plugins import get_registry

LOAD = """
import sys, ganforge
gan = ganforge.from_pretrained(sys.argv[1])
img = gan.generate(seeds=[1, 2], output_type="pt")
assert img.shape == (2, 3, 16, 16) and img.abs().max() <= 1
print(gan.info.plugin.distribution, gan.info.nimg)
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return new_plugin("tiny-gan", tmp_path_factory.mktemp("new"), get_registry())


@pytest.fixture(scope="module")
def site(package, tmp_path_factory):
    """A clean folder into which the package has been installed."""
    target = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run(
        [*pip, "--no-index", "--disable-pip-version-check", "--target", str(target), str(package)],
        check=True,
        cwd=target,
    )
    return target


@pytest.fixture
def python(tmp_path, site):
    """Run Python where the plugin is installed, or (installed=False) where it is not."""

    def _python(*arguments, installed=True, code=0):
        environment = {**os.environ, "PYTHONPATH": str(site) if installed else ""}
        done = subprocess.run(
            [sys.executable, *map(str, arguments)],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return _python


@pytest.mark.parametrize("name", ["ganforge-tiny-gan", "tiny_gan"])
def test_new_plugin_has_all_its_parts(tmp_path, name):
    folder = new_plugin(name, tmp_path, get_registry())

    assert {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()} == {
        "pyproject.toml",
        "README.md",
        "ganforge_tiny_gan/__init__.py",
        "ganforge_tiny_gan/architecture.py",
        "tests/test_tiny_gan.py",
        "docs/tiny_gan.md",
        "pipelines/tiny_gan.yaml",
    }
    lines = (folder / "ganforge_tiny_gan/architecture.py").read_text().splitlines()
    assert len(lines) < 160 and max(map(len, lines)) <= 100


@pytest.mark.parametrize("name", ["", "9lives", "Tiny", "a--b", "../a", "a.b"])
def test_new_plugin_with_an_unusable_name_is_refused(tmp_path, name):
    with pytest.raises(PluginError, match=r"cannot name a plugin: use lower-case.*e\.g\. tiny-gan"):
        new_plugin(name, tmp_path, get_registry())


@pytest.mark.parametrize("name", ["dcgan", "fashion-mnist", "hinge"])
def test_new_plugin_with_a_taken_name_is_refused(tmp_path, name):
    with pytest.raises(PluginConflict, match=r"is taken by an installed plugin.*Choose another"):
        new_plugin(name, tmp_path, get_registry())


def test_new_plugin_passes_its_own_tests(python, package):
    output = python("-m", "pytest", "-q", "-p", "no:cacheprovider", package).stdout

    assert " passed" in output and "failed" not in output


@pytest.mark.dist
def test_new_plugin_passes_the_check(python):
    printed = json.loads(python("-m", "ganforge", "plugins", "check", "tiny-gan", "--json").stdout)

    assert {outcome["status"] for outcome in printed} == {"passed"}
    assert {"1 and 2 ranks agree", "has a docs page"} <= {outcome["check"] for outcome in printed}


def test_new_plugin_trains_and_publishes_and_loads(python, package, photos, tmp_path):
    export = tmp_path / "runs" / "tiny_gan" / "export"
    python(
        "-m",
        "ganforge.run",
        package / "pipelines" / "tiny_gan.yaml",
        f"data.source.path={photos}",
        "data.resolution=16",
        "data.workers=0",
        "model={architecture: tiny_gan, z_dim: 4, width: 4}",
        "train.batch_size=4",
        "train.total_kimg=0.012",
        "train.sample_grid=[2,2]",
    )

    assert python("-c", LOAD, export).stdout.split() == ["ganforge-tiny-gan", "12"]
    missing = python("-c", LOAD, export, installed=False, code=1).stderr
    assert "PluginNotFound" in missing and "pip install ganforge-tiny-gan" in missing
