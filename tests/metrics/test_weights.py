import hashlib
import io
import time
import urllib.error

import pytest

from ganforge.errors import MetricError
from ganforge.metrics.weights import (
    PUBLISHED_NAME,
    PUBLISHED_SHA256_PREFIX,
    find_weights,
    weights_url,
)

URLOPEN = "ganforge.metrics.weights.urllib.request.urlopen"


@pytest.fixture
def empty_caches(monkeypatch, tmp_path):
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    return tmp_path


def test_weights_path_that_is_not_there_is_named(tmp_path):
    with pytest.raises(MetricError, match=r"cannot be read from .*none.pth.*Correct `weights`"):
        find_weights(str(tmp_path / "none.pth"), None, None)


def test_weights_are_taken_from_the_cache_folders(empty_caches):
    name = weights_url().rsplit("/", 1)[-1]
    assert name == PUBLISHED_NAME and PUBLISHED_SHA256_PREFIX in name
    hub = empty_caches / "hub" / "checkpoints" / name
    hub.parent.mkdir(parents=True)
    hub.write_bytes(b"from the hub")
    assert find_weights(None, None, None) == (b"from the hub", str(hub))
    own = empty_caches / "xdg" / "ganforge" / name
    own.parent.mkdir(parents=True)
    own.write_bytes(b"from the cache")
    assert find_weights(None, None, None) == (b"from the cache", str(own))


def test_weights_download_is_kept_when_its_hash_is_right(empty_caches, monkeypatch):
    content = b"downloaded"
    monkeypatch.setattr(URLOPEN, lambda url, timeout: io.BytesIO(content))
    digest = hashlib.sha256(content).hexdigest()
    folder = empty_caches / "cache"
    assert find_weights(None, str(folder), digest[:8])[0] == content
    assert [path.read_bytes() for path in folder.iterdir()] == [content]


def test_weights_download_of_another_hash_is_not_kept(empty_caches, monkeypatch):
    monkeypatch.setattr(URLOPEN, lambda url, timeout: io.BytesIO(b"tampered"))
    with pytest.raises(MetricError, match=f"{weights_url()} has SHA-256 .*expected 6726825d"):
        find_weights(None, str(empty_caches / "cache"), PUBLISHED_SHA256_PREFIX)
    assert not (empty_caches / "cache").exists()


def test_weights_download_to_an_unwritable_folder_says_what_to_set(empty_caches, monkeypatch):
    monkeypatch.setattr(URLOPEN, lambda url, timeout: io.BytesIO(b"x"))
    (empty_caches / "file").write_text("")
    with pytest.raises(MetricError, match=r"cannot be written to .*file.*evaluate\.cache_dir"):
        find_weights(None, str(empty_caches / "file" / "cache"), None)


def test_weights_without_network_say_what_to_do_at_once(empty_caches, monkeypatch):
    def refuse(url, timeout):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(URLOPEN, refuse)
    began = time.monotonic()
    with pytest.raises(MetricError) as caught:
        find_weights(None, str(empty_caches / "cache"), None)
    message = str(caught.value)
    assert f"neither in {empty_caches / 'cache'}" in message
    assert "Name or service not known" in message
    assert weights_url() in message
    assert "weights: PATH" in message and "choose another extractor" in message
    assert time.monotonic() - began < 5
