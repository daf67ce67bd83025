"""What an interrupted evaluation has measured already."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ganforge.io.atomic import write_text
from ganforge.metrics.evaluation import Measure
from ganforge.metrics.records import MetricRecord
from ganforge.training.runtime import Runtime

log = logging.getLogger(__name__)


class MeasuredParts:
    """Keeps the records of the finished parts of an evaluation in a file, until it has ended.

    Args:
        run_dir: of the run.
        settings: all that the numbers depend on, ready for JSON; parts of others are dropped.
        runtime: of this rank; rank 0 reads and writes the file.
    """

    def __init__(self, run_dir: Path, settings: Mapping[str, Any], runtime: Runtime) -> None:
        self._path = run_dir / ".stages" / "evaluate-parts.json"
        self._settings, self._runtime = dict(settings), runtime
        self._parts: dict[str, list[Any]] = runtime.broadcast_object(self._read())

    def keep(self, name: str, measure: Measure) -> list[MetricRecord]:
        """The records of a part, measured now unless they are in the file."""
        if name in self._parts:
            log.info("Measured before the interruption: %s.", name)
            return [MetricRecord.model_validate(record) for record in self._parts[name]]
        records = measure()
        self._parts[name] = [record.model_dump(mode="json") for record in records]
        if self._runtime.is_main and records:
            content = {"settings": self._settings, "parts": self._parts}
            write_text(self._path, json.dumps(content) + "\n")
        return records

    def forget(self) -> None:
        """Delete the file: the records are where they belong."""
        if self._runtime.is_main:
            self._path.unlink(missing_ok=True)

    def _read(self) -> dict[str, list[Any]]:
        try:
            content = json.loads(self._path.read_text())
            parts: dict[str, list[Any]] = content["parts"]
            return parts if content["settings"] == self._settings else {}
        except (OSError, ValueError, KeyError, TypeError):
            return {}
