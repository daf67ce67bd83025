import types

import pytest
from metrics.tiny import TinyExtractor, images, write_shards

import ganforge.metrics
from ganforge.interfaces.component import hookimpl
from ganforge.registry.plugins import Plugin, Registry, empty_registry
from ganforge.training.runtime import Runtime


@pytest.fixture
def shards(tmp_path):
    return write_shards(tmp_path / "shards", images(20, seed=1))


@pytest.fixture
def runtime():
    return Runtime("fp32")


@pytest.fixture
def registry(monkeypatch) -> Registry:
    """A registry with the built-in metrics and the tiny extractor."""
    plugin = types.ModuleType("tiny_plugin")

    @hookimpl
    def ganforge_feature_extractors():
        return [TinyExtractor]

    plugin.ganforge_feature_extractors = ganforge_feature_extractors
    made = empty_registry()
    made.register(ganforge.metrics, Plugin("metrics", "ganforge.metrics", "ganforge", "0"))
    made.register(plugin, Plugin("tiny", "tiny_plugin", "tiny", "0"))
    monkeypatch.setattr("ganforge.metrics.evaluation.get_registry", lambda: made)
    return made
