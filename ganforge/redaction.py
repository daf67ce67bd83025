"""Passwords and tokens in addresses and commands, which no message, record or file may repeat.

People write them into pipeline files: `pipe:curl -H 'Authorization: Bearer hf_...' URL`.
"""

import logging
import re
from typing import Any, TypeVar, cast

T = TypeVar("T")
HIDDEN = "***"
_SECRETS = (
    (re.compile(r"(?<=://)[^/@\s?#]+@"), f"{HIDDEN}@"),
    (re.compile(r"\b(hf|api_org)_[A-Za-z0-9]{8,}"), rf"\1_{HIDDEN}"),
    (
        re.compile(r"(authorization:\s*\w+|\bbearer)\s+[\w.~+/=-]{8,}", re.IGNORECASE),
        rf"\1 {HIDDEN}",
    ),
    (
        re.compile(
            r"([?&][\w-]*(?:token|sig|signature|secret|password|key|credential)=)[^&\s'\"]+",
            re.IGNORECASE,
        ),
        rf"\1{HIDDEN}",
    ),
)


def redacted(value: T) -> T:
    """The value with `***` for every secret in its texts; lists and mappings are copied."""
    made: Any = value
    if isinstance(value, str):
        for pattern, shown in _SECRETS:
            made = pattern.sub(shown, made)
    elif isinstance(value, dict):
        made = {key: redacted(inner) for key, inner in value.items()}
    elif isinstance(value, list | tuple):
        made = type(value)(redacted(inner) for inner in value)
    return cast(T, made)


def hide_secrets(record: logging.LogRecord) -> bool:
    """A filter for log handlers: it drops no record, but hides the secrets in its text."""
    record.msg, record.args = redacted(record.getMessage()), None
    return True
