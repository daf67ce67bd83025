"""Where ganforge keeps what it can download or compute again."""

import os
from pathlib import Path


def default_cache_dir() -> Path:
    """The user's cache folder for ganforge, as the XDG standard places it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ganforge"
