import types

import pytest
from metrics.tiny import images, plugin_of, tiny_registry, write_pairs, write_shards

from ganforge.interfaces.component import hookimpl
from ganforge.metrics import choices, evaluation
from ganforge.registry.plugins import Plugin, Registry
from ganforge.training.runtime import Runtime


@pytest.fixture
def shards(tmp_path):
    return write_shards(tmp_path / "shards", images(20, seed=1))


@pytest.fixture
def pairs(tmp_path):
    return write_pairs(tmp_path / "pairs")


@pytest.fixture
def runtime():
    return Runtime("fp32")


@pytest.fixture
def registry(monkeypatch) -> Registry:
    """The tiny registry; `registry.reported` keeps the records that it announces."""
    made, listener = tiny_registry(), types.ModuleType("listener")
    made.reported = []

    @hookimpl
    def ganforge_metric_computed(record):
        made.reported.append(record)

    listener.ganforge_metric_computed = ganforge_metric_computed
    made.register(listener, Plugin("listener", "listener", "tiny", "0"))
    for module in (choices, evaluation):
        monkeypatch.setattr(module, "get_registry", lambda: made)
    choices._extractor.cache_clear()
    return made


@pytest.fixture
def add(registry):
    """A function that registers more metrics and extractors."""

    def register(*components):
        name = components[0].__name__
        registry.register(plugin_of(*components), Plugin(name, "more", "more", "0"))

    return register
