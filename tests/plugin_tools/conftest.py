import types

import pytest

from ganforge.api import hookimpl
from ganforge.plugin_tools.cases import Case, cases_of
from ganforge.registry.plugins import Plugin, get_registry


@pytest.fixture
def case_of():
    """Make an architecture known to the registry for one test; gives its plain case."""
    registry = get_registry()

    def _case_of(architecture) -> Case:
        module = types.ModuleType("made_up")
        module.ganforge_architectures = hookimpl(lambda: [architecture])
        registry.register(module, Plugin("made-up", "made_up", "made-up", "1"))
        return cases_of(architecture.name)[0]

    yield _case_of
    if "made-up" in registry.plugins:
        registry.unregister("made-up")
