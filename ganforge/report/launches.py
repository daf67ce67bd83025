"""`launches.jsonl`: when, where and with which command a run was started, and how that ended.

One record at each start and one at each end; a launch without an end was killed, or still runs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

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
