import pytest

from ganforge.errors import ConfigError
from ganforge.interfaces.source import Source
from ganforge.registry.plugins import get_registry


def test_every_built_in_source_is_registered_and_documented():
    names = {"folder", "frames", "hf", "idx", "manifest", "pairs", "unpaired", "webdataset", "zip"}
    assert names <= set(get_registry().names(Source))
    for name in names:
        found = get_registry().find(Source, name)
        assert found.__doc__
        assert all(
            f.description or f.default is not None for f in found.Config.model_fields.values()
        )


def test_unknown_option_of_a_source_lists_near_names(source):
    with pytest.raises(ConfigError, match="data.source.pth.*Did you mean 'path'"):
        source("folder", pth="x")
