"""Splits texts into words, for encoders without a tokenizer, and hashes what decides vectors."""

import hashlib
import json
import re
from typing import Any

_WORD = re.compile(r"[^\W\d_]+|\d+")


def words_of(text: str) -> list[str]:
    """The words and numbers of a text, in lower case."""
    return _WORD.findall(text.lower())


def revision_of(**parts: Any) -> str:
    """sha256 of named values: files' hashes and the options that decide the vectors."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
