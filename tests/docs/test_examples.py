"""The plugins in docs/examples keep the whole plugin contract, each trained on made-up data."""

import importlib.util
import sys
from pathlib import Path

import pytest

from ganforge.plugin_tools.cases import cases_of
from ganforge.plugin_tools.contract import CHECKS
from ganforge.registry.plugins import Plugin, get_registry

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
ARCHITECTURES = {
    "tiny_gan": "tiny",
    "text_gan": "text_gan",
    "pyramid_gan": "pyramid_gan",
    "video_gan": "video_gan",
}
METRICS = ("coverage", "color_shift")  # tried in test_metrics_page.py
# test_example_package.py
PACKAGED = ("coverage", "lecam", "log_pictures", "posterize", "stripes", "summary")


def load(file_name):
    """The module of an example, which the registry need not know."""
    name = f"docs_{file_name}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{file_name}.py")
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]


def install(file_name):
    """Register an example with this process's registry, as its entry point would."""
    registry, name = get_registry(), f"docs_{file_name}"
    if name not in registry.plugins:
        registry.register(load(file_name), Plugin(name, name, f"ganforge-{file_name}", "1"))
    return load(file_name)


def test_every_example_is_tried():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {*ARCHITECTURES, *METRICS, *PACKAGED}


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS.keys())
@pytest.mark.parametrize("file_name", ARCHITECTURES)
def test_example_keeps_the_contract(file_name, check):
    install(file_name)
    for case in cases_of(ARCHITECTURES[file_name]):
        check(case)
