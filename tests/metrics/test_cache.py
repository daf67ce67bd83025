import logging

import pytest
import torch
from safetensors.torch import save_file
from torch.testing import assert_close

from ganforge.metrics.cache import FeatureCache

KEY = {"data": "abc", "layer": "f", "count": 3}
FEATURES = torch.arange(12).float().view(3, 4)


@pytest.fixture
def cache(tmp_path):
    made = FeatureCache(tmp_path / "cache")
    made.save(KEY, FEATURES)
    return made


def test_cache_same_key_in_any_order_is_found(cache):
    found = cache.load(dict(reversed(KEY.items())))
    assert_close(found, FEATURES)


@pytest.mark.parametrize("change", [{"data": "abd"}, {"layer": "g"}, {"count": 4}, {"more": 1}])
def test_cache_other_key_is_not_found(cache, change):
    assert cache.load(KEY | change) is None


def test_cache_save_leaves_no_partial_file(cache):
    assert [path.suffix for path in cache.folder.iterdir()] == [".safetensors"]


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-5])


def flip_last_byte(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def replace_by_garbage(path):
    path.write_bytes(b"garbage")


def replace_by_other_features(path):
    save_file({"features": torch.zeros(3, 4)}, path, metadata={"key": "other"})


@pytest.mark.parametrize(
    "damage", [cut_short, flip_last_byte, replace_by_garbage, replace_by_other_features]
)
def test_cache_damaged_entry_is_a_miss_with_a_warning(cache, damage, caplog):
    path = cache.path(KEY)
    damage(path)
    with caplog.at_level(logging.WARNING):
        assert cache.load(KEY) is None
    assert str(path) in caplog.text and "computing them again" in caplog.text
    cache.save(KEY, FEATURES)
    assert_close(cache.load(KEY), FEATURES)


def test_cache_unwritable_folder_is_logged_with_what_to_set(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    FeatureCache(tmp_path / "file").save(KEY, FEATURES)
    assert f"cannot be cached in {tmp_path / 'file'}" in caplog.text
    assert "Set evaluate.cache_dir" in caplog.text
