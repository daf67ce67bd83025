"""`launches.jsonl`: when, where and with which command a run was started, and how that ended.

One record at each start and one at each end; a launch without an end was killed, or still runs.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ganforge.io.atomic import write_text

FILE_NAME = "launches.jsonl"
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Launch:
    """One start of a run.

    Attributes:
        start: what was recorded at the start.
        end: what was recorded at the end; empty when it was killed, or still runs.
    """

    start: Record
    end: Record

    @property
    def outcome(self) -> str:
        """finished, stopped or failed; empty without an end."""
        return str(self.end.get("outcome", ""))

    @property
    def message(self) -> str:
        """Why it stopped or failed."""
        return str(self.end.get("message", ""))

    def facts(self, key: str) -> dict[str, str]:
        """A section of the start record, such as "machine", as text."""
        found = self.start.get(key)
        return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}

    def texts(self, key: str) -> list[str]:
        """A list of the start record, such as "overrides", as text."""
        found = self.start.get(key)
        return [str(value) for value in found] if isinstance(found, list) else []


def append(run_dir: Path, record: Record) -> None:
    """Add a record. The file is replaced as a whole, so that a full disk leaves no empty one."""
    path = run_dir / FILE_NAME
    before = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    write_text(path, f"{before}{json.dumps(record)}\n")


def now() -> str:
    """The time as ISO 8601, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def pair_up(records: Sequence[Record]) -> list[Launch]:
    """Launches from the records of the file, oldest first."""
    launches: list[Launch] = []
    for record in records:
        if "started" in record:
            launches.append(Launch(record, {}))
        elif launches:
            launches[-1] = Launch(launches[-1].start, record)
    return launches
