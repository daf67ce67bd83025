"""Where ganforge keeps what it can get or compute again."""

import os
from pathlib import Path


def default_cache_dir() -> Path:
    """The user's cache folder for ganforge."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ganforge"
