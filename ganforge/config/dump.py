"""Write a configuration as YAML, and compare two configurations."""

from collections.abc import Iterable
from typing import Any

import yaml

from ganforge.config.models import PipelineConfig
from ganforge.redaction import redacted


def dump_config(config: PipelineConfig) -> str:
    """The whole configuration as YAML, including defaults; `load_pipeline` can read it.

    Secrets are hidden: what was read with a token in its address needs the token again.
    """
    values = redacted(config.model_dump(mode="json"))
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def config_diff(old: PipelineConfig, new: PipelineConfig) -> list[str]:
    """One line "path: old -> new" for each value that differs."""
    before = dict(leaves(redacted(old.model_dump(mode="json"))))
    after = dict(leaves(redacted(new.model_dump(mode="json"))))
    return [
        f"{path}: {before.get(path, '(absent)')} -> {after.get(path, '(absent)')}"
        for path in dict.fromkeys([*before, *after])
        if path not in before or path not in after or before[path] != after[path]
    ]


def leaves(value: Any, path: str = "") -> Iterable[tuple[str, str]]:
    """Path and text of each value of a dumped configuration."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and any(isinstance(inner, dict) for inner in value):
        for index, inner in enumerate(value):
            yield from leaves(inner, f"{path}.{index}")
    else:
        yield path, repr(value)
