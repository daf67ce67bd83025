import types

import pytest

from ganforge.api import Architecture, hookimpl
from ganforge.plugin_tools.cases import Case, cases_of
from ganforge.registry.plugins import Plugin, get_registry


@pytest.fixture
def case_of():
    """Make an architecture known to the registry for one test; gives its plain case."""
    registry, made = get_registry(), []

    def _case_of(architecture) -> Case:
        module = types.ModuleType("made_up")
        module.ganforge_architectures = hookimpl(lambda: [architecture])
        made.append((module, architecture))
        registry.register(module, Plugin("made-up", "made_up", "made-up", "1"))
        return cases_of(architecture.name)[0]

    yield _case_of
    for module, architecture in made:
        registry.manager.unregister(module)
        del registry.plugins["made-up"]
        del registry._components[Architecture, architecture.name]
