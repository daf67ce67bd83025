from pathlib import Path

from ganforge.io.cache import default_cache_dir


def test_default_cache_follows_the_desktop_standard(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert default_cache_dir() == Path("/somewhere/ganforge")


def test_default_cache_without_the_variable_lies_in_the_home(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert default_cache_dir() == Path.home() / ".cache/ganforge"
