"""Tables of text: the rows of CSV and JSON-lines files."""

import csv
import json
from pathlib import Path
from typing import IO, Any

from ganforge.data.sources.image_files import looked_in
from ganforge.errors import DataError
from ganforge.io.signatures import HEAD_BYTES, what_it_is

Row = dict[str, Any]
_OTHER_TABLES = {
    ".parquet": "Read it with the source hf: {{name: hf, path: parquet, data_files: {}}}.",
    ".json": "Save it as JSON lines: one object on each line, in a .jsonl file.",
    **dict.fromkeys((".gz", ".zip", ".bz2", ".xz"), "Unpack it."),
    **dict.fromkeys((".xlsx", ".xls", ".ods"), "Save the sheet as CSV."),
}
"""What to do with tables that are not read."""
_MAX_FIELD = 2**27


def read_table(path: Path) -> list[Row]:
    """The rows of a .csv, .tsv, .jsonl or .ndjson file, all with the same columns.

    Raises:
        DataError: it cannot be read, is damaged, has no rows, or rows with other columns.
    """
    _check_kind(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            if path.suffix.lower() in (".csv", ".tsv"):
                rows: list[Row] = _csv_rows(stream)
            else:
                lines = (line for line in stream if line.strip())
                rows = [_parse(line, n, path) for n, line in enumerate(lines, 1)]
    except UnicodeDecodeError as err:
        raise DataError(f"Manifest {path} is not UTF-8 ({err}). Save it as UTF-8.") from err
    except (OSError, ValueError, csv.Error) as err:
        fault = str(err).replace("unexpected end of data", "a quote is not closed")
        raise DataError(f"Manifest {path} cannot be read ({fault}). Correct it.") from err
    if not rows:
        raise DataError(f"Manifest {path} has no rows. Give it one row per image.")
    for line, row in enumerate(rows, 1):
        _check_columns(row, rows[0], f"Row {line} of {path}")
    return rows


def _check_columns(row: Row, first: Row, where: str) -> None:
    beyond: Any = row.get(None)  # type: ignore[call-overload]  # where csv puts them
    if beyond:
        raise DataError(
            f"{where} has more values than the header has columns (first {beyond[0]!r}). Put "
            f"values with a comma in quotes, or name the column."
        )
    if set(row) != set(first):
        raise DataError(
            f"{where} has other columns than row 1 ({', '.join(map(str, first))}). Give each row "
            f"the same columns."
        )


def _check_kind(path: Path) -> None:
    """Refuse what is no table of text, by its extension and its first bytes."""
    suffix = path.suffix.lower()
    if suffix not in (".csv", ".tsv", ".jsonl", ".ndjson"):
        advice = _OTHER_TABLES.get(suffix, "Rename it.").format(path)
        raise DataError(f"path={str(path)!r} is not .csv, .tsv, .jsonl or .ndjson. {advice}")
    try:
        with path.open("rb") as file:
            what = what_it_is(file.read(HEAD_BYTES))
    except FileNotFoundError as err:
        raise DataError(
            f"path={str(path)!r} does not exist{looked_in(path)}. Correct the path."
        ) from err
    except OSError:  # of which reading tells
        return
    if what and not (what == "a JSON text" and suffix in (".jsonl", ".ndjson")):
        raise DataError(f"Manifest {path} is {what}, not a {suffix} table. Fetch or save it again.")


def _csv_rows(stream: IO[str]) -> list[Row]:
    """Rows of a CSV, between commas; between semicolons or tabs if its header has no comma.

    Raises:
        csv.Error: a quote is not closed, or two columns have one name.
    """
    csv.field_size_limit(_MAX_FIELD)
    header = stream.readline()
    stream.seek(0)
    commas = (delimiter for delimiter in ",;\t|" if delimiter in header)
    # Strict: else a quote that is not closed takes all further rows into its field.
    reader = csv.DictReader(stream, skipinitialspace=True, delimiter=next(commas, ","), strict=True)
    names = [name.strip() for name in reader.fieldnames or ()]
    twice = next((name for name in names if name and names.count(name) > 1), None)
    if twice is not None:
        raise csv.Error(f"it has two columns '{twice}'")
    return [_without_empty(row) for row in reader]


def _without_empty(row: Row) -> Row:
    """The row without values beyond the header that are empty: some programs end lines so."""
    beyond: Any = row.get(None)  # type: ignore[call-overload]
    if beyond is not None and not any(value.strip() for value in beyond):
        del row[None]  # type: ignore[arg-type]
    return row


def _parse(line: str, number: int, path: Path) -> Row:
    try:
        row: Row = json.loads(line)
        if not isinstance(row, dict):
            raise ValueError(f"it is {line[:40].strip()}, not {{...}}")
    except (ValueError, RecursionError) as err:
        raise DataError(
            f"Row {number} of {path} cannot be read as a JSON object ({err}). Correct it; each row "
            f"is one object on a line of its own."
        ) from err
    return row
