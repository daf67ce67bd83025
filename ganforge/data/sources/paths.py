"""The type of options that name a local file or folder."""

import os
import re
from typing import Annotated
from urllib.request import url2pathname

from pydantic import AfterValidator, BeforeValidator


def _as_text(value: object) -> object:
    if isinstance(value, bool | int | float):
        kind = "true or false" if isinstance(value, bool) else "a number"
        raise ValueError(f"{value} is {kind} in YAML; write the path in quotes")
    return value


def local_file(path: str) -> str:
    """A path with `~` expanded; of an address `file://...` the path in it.

    Raises:
        ValueError: it is empty, or an address elsewhere.
    """
    if not path.strip():
        raise ValueError("is empty; name a file or folder (`.` is the current one)")
    if path.startswith("file://"):
        return url2pathname(path.removeprefix("file://").removeprefix("localhost"))
    if re.match(r"(?i)(https?|ftp)://", path):
        raise ValueError(f"is the address {path}; download it first, and name the file or folder")
    return os.path.expanduser(path)


UserPath = Annotated[str, BeforeValidator(_as_text), AfterValidator(local_file)]
"""A path; `~` and `~user` become the home folder, `file:///x` becomes `/x`."""
