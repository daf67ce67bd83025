"""Writes the settings of `ganforge new` as a pipeline file with a comment on each line."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import yaml

from ganforge.starters.recipes import Setting

_COMMENT_COLUMN = 30


def pipeline_text(header: Sequence[str], extends: str, settings: Iterable[Setting]) -> str:
    """The file: a header, the starter that it extends, then the settings by section.

    Args:
        header: comment lines.
        extends: packaged name of the starter.
        settings: in the order of the file; those of a section need not be together.
    """
    sections: dict[str, list[Setting]] = {}
    for setting in settings:
        sections.setdefault(setting.key.rpartition(".")[0], []).append(setting)
    lines = [f"# {line}" for line in header]
    lines.append(_line("extends", extends, "the recipe; its values hold unless set below"))
    for section, members in sections.items():
        if section:
            lines.append(f"{section}:")
        indent = "  " if section else ""
        lines += [_line(indent + m.key.rpartition(".")[2], m.value, m.why) for m in members]
    return "\n".join(lines) + "\n"


def _line(key: str, value: Any, why: str) -> str:
    text = f"{key}: {_flow(value)}"
    if not why:
        return text
    comment = " ".join(why.split())
    return f"{text + '  ':{_COMMENT_COLUMN}}# {comment}"


def _flow(value: Any) -> str:
    """A value as YAML on one line."""
    if isinstance(value, str):
        # Not yaml.dump for plain words: it would add a document end.
        return value if _is_plain(value) else json.dumps(value, ensure_ascii=False)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return json.dumps(value)


def _is_plain(text: str) -> bool:
    """Whether a text can stand in a YAML line without quotes, also within {} and []."""
    if not text or any(c in text for c in ",{}[]#:&*!|>'\"%@`\\$") or text != text.strip():
        return False
    try:
        return bool(yaml.safe_load(f"[{text}]") == [text])
    except yaml.YAMLError:
        return False
