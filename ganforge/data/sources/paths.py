"""The type of options that name a local file or folder."""

import os
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator


def _as_text(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(f"{value} is a number in YAML; put the path in quotes, e.g. '{value}'")
    return value


UserPath = Annotated[str, BeforeValidator(_as_text), AfterValidator(os.path.expanduser)]
"""A path; `~` and `~user` become the home folder."""
