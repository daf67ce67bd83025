"""The contract, for every registered architecture; third parties run the same functions."""

import functools

import pytest

from ganforge.interfaces.architecture import Architecture
from ganforge.plugin_tools.cases import cases_of
from ganforge.plugin_tools.contract import CHECKS
from ganforge.plugin_tools.ranks import compare_ranks
from ganforge.plugin_tools.report import check_described, check_documented, check_imports
from ganforge.registry.plugins import get_registry

NAMES = get_registry().names(Architecture)
CASES = [case for name in NAMES for case in cases_of(name)]
PLUGINS = sorted(get_registry().plugins.values(), key=lambda plugin: plugin.name)


@pytest.mark.parametrize("check", CHECKS.values(), ids=[name.replace(" ", "-") for name in CHECKS])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)
def test_architecture_keeps_the_contract(case, check):
    check(case)


@functools.cache
def rank_verdicts():
    """One start of the processes serves all architectures."""
    return compare_ranks(NAMES)


@pytest.mark.dist
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)
def test_architecture_trains_alike_on_one_and_two_ranks(case):
    assert rank_verdicts()[case.label] == ""


@pytest.mark.parametrize("name", NAMES)
def test_architecture_has_a_docs_page(name):
    registry = get_registry()

    check_documented(name, registry.plugin_of(registry.find(Architecture, name)))


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda plugin: plugin.name)
def test_plugin_imports_only_the_public_api(plugin):
    check_imports(plugin)


@pytest.mark.parametrize(
    "component", get_registry().components(), ids=lambda c: f"{c.kind}-{c.name}".replace(" ", "-")
)
def test_component_is_described(component):
    check_described(component)
