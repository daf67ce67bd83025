import pytest
from metrics.tiny import images, plugin_of, tiny_registry, write_clips, write_pairs, write_shards

from ganforge.metrics import choices
from ganforge.registry.plugins import Plugin, Registry
from ganforge.training.runtime import Runtime


@pytest.fixture
def shards(tmp_path):
    return write_shards(tmp_path / "shards", images(20, seed=1))


@pytest.fixture
def pairs(tmp_path):
    return write_pairs(tmp_path / "pairs")


@pytest.fixture
def clips(tmp_path):
    return write_clips(tmp_path / "clips")


@pytest.fixture
def runtime():
    return Runtime("fp32")


@pytest.fixture
def registry(monkeypatch) -> Registry:
    """A registry with the built-in metrics and the tiny extractor."""
    made = tiny_registry()
    monkeypatch.setattr(choices, "get_registry", lambda: made)
    choices._extractor.cache_clear()
    return made


@pytest.fixture
def add(registry):
    """A function that registers more metrics and extractors."""

    def register(*components):
        name = components[0].__name__
        registry.register(plugin_of(*components), Plugin(name, "more", "more", "0"))

    return register
