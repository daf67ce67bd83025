"""What a finished stage was asked for: it runs again when that has changed."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ganforge.io.atomic import write_text


def remember(run_dir: Path, stage: str, asked: Mapping[str, Any]) -> None:
    """Note that the stage has done what it was asked for; `asked` is ready for JSON."""
    write_text(_path(run_dir, stage), json.dumps(asked, sort_keys=True) + "\n")


def is_as_asked(run_dir: Path, stage: str, asked: Mapping[str, Any]) -> bool:
    """Whether the last thing that the stage did is this."""
    try:
        return bool(json.loads(_path(run_dir, stage).read_text()) == dict(asked))
    except (OSError, ValueError):
        return False


def _path(run_dir: Path, stage: str) -> Path:
    return run_dir / ".stages" / f"{stage}.json"
