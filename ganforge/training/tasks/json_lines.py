"""The files of JSON records in a run directory: log.jsonl and metrics.jsonl."""

import contextlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ganforge.io.atomic import naming, write_text


class JsonLines:
    """An append-only file of JSON records, which can go back to a checkpoint."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, record: Mapping[str, object]) -> None:
        """Write one record on a new line, also after a line that a kill cut short."""
        is_new = not self.path.exists()
        try:
            with naming(self.path), self.path.open("a+b") as file:
                if file.tell():
                    file.seek(-1, os.SEEK_END)
                    if file.read(1) != b"\n":
                        file.write(b"\n")
                file.write((json.dumps(_finite(record)) + "\n").encode())
        except OSError:
            if is_new:  # a full disk has room for a name, but for nothing in it
                self.path.unlink(missing_ok=True)
            raise

    def read(self) -> list[dict[str, Any]]:
        """All complete records, oldest first; none without a file."""
        if not self.path.exists():
            return []
        records = []
        for line in self.path.read_text().splitlines():
            with contextlib.suppress(ValueError):  # a line cut short by a kill
                records.append(json.loads(line))
        return records

    def drop_after(self, nimg: int) -> None:
        """Remove the records after `nimg` images, which a resumed run writes again."""
        if not self.path.exists():
            return
        kept = [record for record in self.read() if record.get("nimg", 0) <= nimg]
        write_text(self.path, "".join(f"{json.dumps(record)}\n" for record in kept))


def _finite(record: Mapping[str, object]) -> dict[str, object]:
    # JSON has no NaN: readers must be able to read the log of a diverged run.
    return {
        k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in record.items()
    }
