"""The settings that a finished stage ran with: it runs again when they have changed."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ganforge.io.atomic import write_text


def remember(run_dir: Path, stage: str, settings: Mapping[str, Any]) -> None:
    """Note that the stage has finished with these settings, which are ready for JSON."""
    write_text(_path(run_dir, stage), json.dumps(settings, sort_keys=True) + "\n")


def ran_with(run_dir: Path, stage: str, settings: Mapping[str, Any]) -> bool:
    """Whether the stage last finished with exactly these settings."""
    try:
        return bool(json.loads(_path(run_dir, stage).read_text()) == dict(settings))
    except (OSError, ValueError):
        return False


def _path(run_dir: Path, stage: str) -> Path:
    return run_dir / ".stages" / f"{stage}.json"
